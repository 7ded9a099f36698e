//! What a YAML scalar means: null, boolean, number or string, as Go's yaml.v3 resolves it (esc-language.md §1.2).
//!
//! **A number is its text**, printed as Go prints it: `1e6` is `1e+06`, `0x1F` is `31`.

use crate::base::yaml::Style;

/// A scalar's meaning.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
}

/// Resolves a scalar by its style and tag.
///
/// # Errors
/// A sentence when a standard tag does not fit the text (`!!int abc`).
pub fn resolve(text: &str, style: Style, tag: Option<&str>) -> Result<Scalar, String> {
    let plain = style == Style::Plain;
    match tag {
        None if plain => Ok(implicit(text)),
        Some("!!null" | "!!bool" | "!!int" | "!!float") => {
            let tag = tag.unwrap_or_default();
            let fits = match (implicit(text), tag) {
                (Scalar::Null, "!!null") => Some(Scalar::Null),
                (Scalar::Bool(flag), "!!bool") => Some(Scalar::Bool(flag)),
                (Scalar::Number(number), "!!float") => Some(Scalar::Number(number)),
                (Scalar::Number(number), "!!int") if integer(&text.replace('_', "")).is_some() => {
                    Some(Scalar::Number(number))
                }
                _ => None,
            };
            // The text may be a secret: it is not repeated.
            fits.ok_or_else(|| format!("cannot decode this scalar as a {tag}"))
        }
        _ => Ok(Scalar::Text(text.to_owned())),
    }
}

/// Whether a scalar is a string; nearly always told by its first letter.
#[must_use]
pub fn is_text(text: &str, style: Style, tag: Option<&str>) -> bool {
    let letter = |first: char| first.is_alphabetic() && !matches!(first, 'n' | 'N' | 't' | 'T' | 'f' | 'F');
    let simple = tag.is_none() && (style != Style::Plain || text.starts_with(letter));
    simple || matches!(resolve(text, style, tag), Ok(Scalar::Text(_)))
}

/// An untagged plain scalar.
fn implicit(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Number("NaN".into()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Number("+Inf".into()),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Number("-Inf".into()),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Scalar::Text(text.to_owned());
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return Scalar::Number(number);
    }
    match float(&digits) {
        Some(number) => Scalar::Number(go_float(number)),
        None => Scalar::Text(text.to_owned()),
    }
}

/// Go's `ParseInt` and `ParseUint` with base 0: decimal, `0x`, `0o`, `0b` and the old leading zero.
fn integer(text: &str) -> Option<String> {
    let (sign, magnitude) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("+", text.get(1..)?),
        _ => ("", text),
    };
    let (radix, digits) = match magnitude.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, magnitude.get(2..)?),
        Some("0o") => (8, magnitude.get(2..)?),
        Some("0b") => (2, magnitude.get(2..)?),
        _ if magnitude.len() > 1 && magnitude.starts_with('0') => (8, magnitude.get(1..)?),
        _ => (10, magnitude),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match sign {
        "-" => (value <= i64::MIN.unsigned_abs()).then(|| if value == 0 { "0".into() } else { format!("-{value}") }),
        // `ParseUint` takes no sign, so that a signed number must fit 63 bits.
        "+" => i64::try_from(value).ok().map(|value| value.to_string()),
        _ => Some(value.to_string()),
    }
}

/// yaml.v3's pattern of a float: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    if exponent.is_some_and(|exponent| exponent.is_empty() || !digits(exponent)) {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let lone_dot = whole.is_empty() && fraction.is_empty();
    if lone_dot || !digits(whole) || !digits(fraction) {
        return None;
    }
    // Go refuses what overflows a double.
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Go's `strconv.FormatFloat(x, 'g', -1, 64)`.
#[must_use]
pub fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    } else {
        format!("{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> String {
        match resolve(text, Style::Plain, None).unwrap() {
            Scalar::Number(number) => number,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn numbers_read_and_print_as_go_does() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("+5", "5"),
            ("1_000", "1000"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("0777", "511"),
            ("0b101", "5"),
            ("08", "8"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "1.8446744073709552e+19"),
            ("1.0", "1"),
            ("3.10", "3.1"),
            ("1e6", "1e+06"),
            ("1e3", "1000"),
            ("100000.0", "100000"),
            ("1000000.0", "1e+06"),
            ("1234567.5", "1.2345675e+06"),
            ("123456.5", "123456.5"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-1e-7", "-1e-07"),
            ("1.5E+300", "1.5e+300"),
            (".inf", "+Inf"),
            ("-.INF", "-Inf"),
            (".NaN", "NaN"),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn the_rest_is_text_null_or_boolean() {
        for text in
            ["yes", "on", "y", "1.2.3", "0x", "0b2", "--1", "+-1", "1e", "_1", ".", "-", "2001-01-01", "1e999", "<<"]
        {
            assert_eq!(resolve(text, Style::Plain, None), Ok(Scalar::Text(text.into())), "{text}");
        }
        assert_eq!(resolve("~", Style::Plain, None), Ok(Scalar::Null));
        assert_eq!(resolve("~", Style::DoubleQuoted, None), Ok(Scalar::Text("~".into())));
        assert_eq!(resolve("TRUE", Style::Plain, None), Ok(Scalar::Bool(true)));
        assert_eq!(resolve("tRUE", Style::Plain, None), Ok(Scalar::Text("tRUE".into())));
        assert_eq!(resolve("5", Style::Plain, Some("!!str")), Ok(Scalar::Text("5".into())));
        assert_eq!(resolve("5", Style::SingleQuoted, Some("!!int")), Ok(Scalar::Number("5".into())));
        assert_eq!(resolve("x", Style::Plain, Some("!mine")), Ok(Scalar::Text("x".into())));
        assert!(!resolve("hunter2", Style::Plain, Some("!!int")).unwrap_err().contains("hunter2"));
    }
}
