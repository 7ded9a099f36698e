//! Function calls as written: a mapping with one key that begins `fn::` (esc-language.md §6).

use super::expression::{Builtin, Call, Expr, ExprKind, Findings, Site, Spelling, Trail, read as expression};
use super::value::go_quote;
use crate::base::yaml::{Node, Span};

type Entries = Vec<(Node, Node)>;

/// The call that a mapping spells, or its entries when it is plain data.
pub fn read(span: Span, entries: Entries, trail: &Trail, findings: &mut Findings) -> Result<Call, Entries> {
    if !is_call(span, &entries, trail, findings) {
        return Err(entries);
    }
    let [(key, argument)] = <[_; 1]>::try_from(entries)?;
    let name = key.scalar().unwrap_or_default();
    let argument = expression(argument, trail.key(name), findings);
    let argument_span = argument.site.span;
    let builtin = builtin(name, argument, findings);
    let spelling = Box::new(Spelling { name: name.to_owned(), name_span: Some(key.span), argument_span });
    Ok(Call { spelling, builtin })
}

/// Whether a mapping is a call; what looks like one and is none is reported.
fn is_call(span: Span, entries: &[(Node, Node)], trail: &Trail, findings: &mut Findings) -> bool {
    let here = Site { span: Some(span), trail: trail.clone() };
    let [(key, _)] = entries else {
        for (key, _) in entries {
            if let Some(name) = key.scalar().filter(|name| name.starts_with("fn::")) {
                let quoted = go_quote(name);
                findings.error(
                    &here,
                    format!(
                        "illegal call to builtin function: {quoted} must be the only key within its containing object"
                    ),
                );
            }
        }
        return false;
    };
    let name = key.scalar().unwrap_or_default();
    let is_known = known(name);
    if !is_known && name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("fn::")) {
        findings.error(&Site { span: Some(key.span), ..here }, "'fn::' is a reserved prefix");
    }
    is_known
}

fn known(name: &str) -> bool {
    matches!(
        name,
        "fn::concat"
            | "fn::final"
            | "fn::fromBase64"
            | "fn::fromJSON"
            | "fn::join"
            | "fn::open"
            | "fn::rotate"
            | "fn::secret"
            | "fn::split"
            | "fn::toBase64"
            | "fn::toJSON"
            | "fn::toString"
            | "fn::validate"
    ) || name.starts_with("fn::open::")
        || name.starts_with("fn::rotate::")
}

fn missing() -> Expr {
    Expr { site: Site::default(), kind: ExprKind::Missing }
}

fn builtin(name: &str, argument: Expr, findings: &mut Findings) -> Builtin<Expr> {
    match name {
        "fn::secret" => secret(argument, findings),
        "fn::toJSON" => Builtin::ToJson(argument),
        "fn::fromJSON" => Builtin::FromJson(argument),
        "fn::toString" => Builtin::ToText(argument),
        "fn::toBase64" => Builtin::ToBase64(argument),
        "fn::fromBase64" => Builtin::FromBase64(argument),
        "fn::final" => Builtin::Final(argument),
        "fn::concat" => {
            if !matches!(argument.kind, ExprKind::List(_)) {
                findings.error(&argument.site, "the argument to fn::concat must be an array of arrays");
            }
            Builtin::Concat(argument)
        }
        "fn::join" => {
            let (delimiter, values) = pair(name, argument, findings);
            Builtin::Join(delimiter, values)
        }
        "fn::split" => {
            let (delimiter, text) = pair(name, argument, findings);
            Builtin::Split(delimiter, text)
        }
        "fn::validate" => validate(argument, findings),
        _ => match name.strip_prefix("fn::open::") {
            Some(provider) => Builtin::Open { provider: Some(provider.to_owned()), inputs: argument },
            None => provided(name, argument, findings),
        },
    }
}

fn secret(mut argument: Expr, findings: &mut Findings) -> Builtin<Expr> {
    if let ExprKind::Object(entries) = &mut argument.kind
        && let [entry] = &mut entries[..]
        && entry.key.as_deref() == Some("ciphertext")
        && let ExprKind::Text(envelope) = &entry.value.kind
    {
        let envelope = envelope.clone();
        return Builtin::Ciphertext(envelope, std::mem::replace(&mut entry.value, missing()));
    }
    if matches!(argument.kind, ExprKind::Text(_)) {
        return Builtin::Secret(argument);
    }
    findings.error(&argument.site, "secret values must be string literals");
    Builtin::Secret(Expr { site: Site::default(), kind: ExprKind::Text(String::new()) })
}

fn pair(name: &str, argument: Expr, findings: &mut Findings) -> (Expr, Expr) {
    let site = argument.site;
    if let ExprKind::List(items) = argument.kind
        && let Ok([first, second]) = <[Expr; 2]>::try_from(items)
    {
        return (first, second);
    }
    findings.error(&site, format!("the argument to {name} must be a two-valued list"));
    (missing(), missing())
}

/// The named members of an object argument, the last of each name; none when it is no object.
fn members<const N: usize>(argument: Expr, names: [&str; N]) -> Result<(Site, [Option<Expr>; N]), Site> {
    let site = argument.site;
    let ExprKind::Object(entries) = argument.kind else { return Err(site) };
    let mut found = [const { None }; N];
    for entry in entries {
        for (slot, name) in found.iter_mut().zip(names) {
            if entry.key.as_deref() == Some(name) {
                *slot = Some(entry.value);
                break;
            }
        }
    }
    Ok((site, found))
}

fn validate(argument: Expr, findings: &mut Findings) -> Builtin<Expr> {
    let (site, [schema, value]) = match members(argument, ["schema", "value"]) {
        Ok(found) => found,
        Err(site) => {
            findings.error(&site, "the argument to fn::validate must be an object containing 'schema' and 'value'");
            return Builtin::Validate { schema: missing(), value: missing() };
        }
    };
    let mut required = |part: Option<Expr>, name: &str| {
        part.unwrap_or_else(|| {
            findings.error(&site, format!("missing required property '{name}'"));
            missing()
        })
    };
    Builtin::Validate { schema: required(schema, "schema"), value: required(value, "value") }
}

/// `fn::open` in its long form, `fn::rotate` in both.
fn provided(name: &str, argument: Expr, findings: &mut Findings) -> Builtin<Expr> {
    let short = name.strip_prefix("fn::rotate::");
    let open = name == "fn::open";
    let (site, [provider, inputs, state]) = match members(argument, ["provider", "inputs", "state"]) {
        Ok(found) => found,
        Err(site) => {
            let (call, parts) = match (open, short) {
                (true, _) => ("fn::open", "'provider' and 'inputs'"),
                (_, None) => ("fn::rotate", "'provider', 'inputs' and 'state'"),
                (_, Some(_)) => ("fn::rotate", "'inputs' and 'state'"),
            };
            findings.error(&site, format!("the argument to {call} must be an object containing {parts}"));
            return if open {
                Builtin::Open { provider: None, inputs: missing() }
            } else {
                Builtin::Rotate { provider: None, inputs: missing(), state: missing() }
            };
        }
    };
    let provider = match (short, provider) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some(Expr { kind: ExprKind::Text(name), .. })) => Some(name),
        (None, Some(other)) => {
            findings.error(&other.site, "provider name must be a string literal");
            None
        }
        (None, None) => {
            findings.error(&site, "missing provider name ('provider')");
            None
        }
    };
    let inputs = inputs.unwrap_or_else(|| {
        findings.error(&site, "missing provider inputs ('inputs')");
        missing()
    });
    if open {
        return Builtin::Open { provider, inputs };
    }
    let state = state.unwrap_or(Expr { site: Site::default(), kind: ExprKind::Null });
    if !matches!(state.kind, ExprKind::Object(_)) && state.site.span.is_some() {
        findings.error(&state.site, "rotation state must be an object literal");
    }
    Builtin::Rotate { provider, inputs, state }
}
