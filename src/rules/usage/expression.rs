//! Expressions of GitHub's workflows (`${{ … }}`), as far as they name secrets and variables.

/// What an expression reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    Secrets,
    Variables,
}

/// How an expression reads a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `secrets.NAME` and `secrets['NAME']`.
    Named(Context, String),
    /// `secrets[…]` with a name that is computed.
    Computed(Context),
    /// The whole context: `toJSON(secrets)`, `secrets.*`.
    All(Context),
}

/// The expressions in a text, each with the byte where it begins behind `${{`. One without an end reaches to the
/// end of the text.
#[must_use]
pub fn expressions(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find("${{")).map(|open| at + open + 3) {
        let rest = text.get(start..).unwrap_or_default();
        let mut quoted = false;
        let end = rest
            .char_indices()
            .find(|(at, c)| {
                quoted ^= *c == '\'';
                !quoted && rest.get(*at..).is_some_and(|rest| rest.starts_with("}}"))
            })
            .map_or(rest.len(), |(end, _)| end);
        found.push((start, rest.get(..end).unwrap_or_default()));
        at = start + end;
    }
    found
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Sign(char),
}

/// The references of one expression, each with the byte where it begins.
#[must_use]
pub fn references(expression: &str) -> Vec<(usize, Reference)> {
    let tokens = tokens(expression);
    let token = |index: usize| tokens.get(index).map(|(_, token)| token);
    let mut found = Vec::new();
    for (index, (at, name)) in tokens.iter().enumerate() {
        let Token::Name(name) = name else { continue };
        let context = match name.to_ascii_lowercase().as_str() {
            "secrets" => Context::Secrets,
            "vars" => Context::Variables,
            _ => continue,
        };
        if index > 0 && token(index - 1) == Some(&Token::Sign('.')) {
            continue;
        }
        let reference = match (token(index + 1), token(index + 2), token(index + 3)) {
            (Some(Token::Sign('.')), Some(Token::Name(name)), _) => Reference::Named(context, name.clone()),
            (Some(Token::Sign('[')), Some(Token::Text(name)), Some(Token::Sign(']'))) => {
                Reference::Named(context, name.clone())
            }
            (Some(Token::Sign('[')), Some(Token::Sign('*')), _) => Reference::All(context),
            (Some(Token::Sign('[')), ..) => Reference::Computed(context),
            _ => Reference::All(context),
        };
        found.push((*at, reference));
    }
    found
}

fn tokens(expression: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut letters = expression.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\'' {
            let mut text = String::new();
            while let Some((_, letter)) = letters.next() {
                // A doubled quote is a quote of the text.
                if letter == '\'' && letters.next_if(|(_, next)| *next == '\'').is_none() {
                    break;
                }
                text.push(letter);
            }
            tokens.push((at, Token::Text(text)));
        } else if letter.is_ascii_alphabetic() || letter == '_' {
            let mut name = String::from(letter);
            let inside = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
            while let Some((_, letter)) = letters.next_if(|(_, letter)| inside(*letter)) {
                name.push(letter);
            }
            tokens.push((at, Token::Name(name)));
        } else if !letter.is_whitespace() {
            tokens.push((at, Token::Sign(letter)));
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<(usize, Reference)> {
        let found = expressions(text).into_iter();
        found
            .flat_map(|(start, expression)| {
                references(expression).into_iter().map(move |(at, reference)| (start + at, reference))
            })
            .collect()
    }

    #[test]
    fn finds_every_way_to_read_a_secret() {
        use Context::{Secrets, Variables};
        use Reference::{All, Computed, Named};
        let name = |context, text: &str| Named(context, text.to_owned());
        for (text, expected) in [
            ("x ${{ secrets.A }}", vec![(6, name(Secrets, "A"))]),
            ("${{secrets['A-B']}}", vec![(3, name(Secrets, "A-B"))]),
            ("${{ Secrets . a || vars.B }}", vec![(4, name(Secrets, "a")), (19, name(Variables, "B"))]),
            ("${{ toJSON(secrets) }}", vec![(11, All(Secrets))]),
            ("${{ secrets.* }}${{ vars[*] }}", vec![(4, All(Secrets)), (20, All(Variables))]),
            ("${{ secrets[format('{0}_KEY', inputs.x)] }}", vec![(4, Computed(Secrets))]),
            ("${{ secrets[matrix.name] }}", vec![(4, Computed(Secrets))]),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_and_other_objects_are_not_references() {
        for text in [
            "${{ 'secrets.A' }}",
            "${{ inputs.secrets.A }}",
            "secrets.A",
            "${{ mysecrets.A }}",
            "${{ 'it''s }} secrets.A' }}",
        ] {
            assert_eq!(named(text), [], "{text}");
        }
        assert_eq!(named("${{ format('}}', secrets.A)").len(), 1, "without an end");
    }
}
