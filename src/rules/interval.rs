//! Intervals as the definition writes them: `90d`, `2w`, `12h`.

use jiff::SignedDuration;

const HOURS_OF_A_DAY: i64 = 24;
/// The longest interval, in days: a hundred years.
const LONGEST: i64 = 36_500;

/// A text that is not an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnInterval {
    #[error("`{0}` is not an interval: expected a number with `d`, `w` or `h`, for instance `90d`")]
    Form(String),
    #[error("an interval must be longer than nothing, `{0}` is not")]
    NotPositive(String),
    #[error("an interval of `{0}` is longer than {LONGEST} days")]
    TooLong(String),
}

/// Reads an interval; a day is 24 hours.
///
/// # Errors
/// [`NotAnInterval`] when the text has another form, is not positive, or is longer than a hundred years.
pub fn parse(text: &str) -> Result<SignedDuration, NotAnInterval> {
    let wrong = || NotAnInterval::Form(text.to_owned());
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let hours = match unit {
        'h' => 1,
        'd' => HOURS_OF_A_DAY,
        'w' => 7 * HOURS_OF_A_DAY,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    if number.starts_with('-') || digits.bytes().all(|byte| byte == b'0') {
        return Err(NotAnInterval::NotPositive(text.to_owned()));
    }
    let too_long = || NotAnInterval::TooLong(text.to_owned());
    let number: i64 = digits.parse().map_err(|_| too_long())?;
    let hours = number.checked_mul(hours).filter(|hours| *hours <= LONGEST * HOURS_OF_A_DAY).ok_or_else(too_long)?;
    Ok(SignedDuration::from_hours(hours))
}

/// Writes an interval in its largest whole unit of days or hours (`90d`, `12h`).
#[must_use]
pub fn text(interval: SignedDuration) -> String {
    let hours = interval.as_hours();
    if hours % HOURS_OF_A_DAY == 0 { format!("{}d", hours / HOURS_OF_A_DAY) } else { format!("{hours}h") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_days_weeks_and_hours() {
        for (written, hours) in [("90d", 2160), ("2w", 336), ("12h", 12), ("36500d", 876_000)] {
            assert_eq!(parse(written), Ok(SignedDuration::from_hours(hours)), "{written}");
        }
        assert_eq!(text(parse("2w").unwrap()), "14d");
        assert_eq!(text(parse("36h").unwrap()), "36h");
    }

    #[test]
    fn refuses_what_is_no_positive_interval() {
        for written in ["", "90", "d", "90 d", "9.5d", "1y", "90D", "+1d", "d9", "1é"] {
            assert_eq!(parse(written), Err(NotAnInterval::Form(written.into())), "{written}");
        }
        for written in ["0d", "-90d", "000h"] {
            assert_eq!(parse(written), Err(NotAnInterval::NotPositive(written.into())), "{written}");
        }
        for written in ["36501d", "99999999999999999999999d", "9223372036854775807w"] {
            assert_eq!(parse(written), Err(NotAnInterval::TooLong(written.into())), "{written}");
        }
    }
}
