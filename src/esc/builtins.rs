//! The functions of the language (esc-language.md §6). There is no coercion of arguments.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::Value as Json;

use super::eval::Mode;
use super::evaluator::Evaluator;
use super::expression::Builtin;
use super::graph::{self, Content, Exhausted, ExprId, Mark, ValueId};
use super::schema::{self, SchemaId};
use super::value::{self, Value};
use super::{base64, json};

type Given<T> = Result<T, Exhausted>;

impl Evaluator<'_> {
    pub fn call(&mut self, id: ExprId, builtin: &Builtin<ExprId>) -> Given<ValueId> {
        match builtin {
            Builtin::Secret(text) => self.evaluate(*text, schema::STRING),
            Builtin::Ciphertext(envelope, _) => Ok(self.ciphertext(id, envelope)),
            Builtin::ToJson(value) => self.encode_json(id, *value),
            Builtin::FromJson(text) => self.decode_json(id, *text),
            Builtin::ToText(value) => self.stringify(id, *value),
            Builtin::ToBase64(text) => self.convert(id, *text, |text| Ok(base64::encode(text))),
            Builtin::FromBase64(text) => self.convert(id, *text, from_base64),
            Builtin::Join(delimiter, values) => self.join(id, *delimiter, *values),
            Builtin::Split(delimiter, text) => self.split(id, *delimiter, *text),
            Builtin::Concat(lists) => self.concat(id, *lists),
            Builtin::Final(value) => {
                let value = self.evaluate(*value, schema::ANY)?;
                let last = self.pass_through(id, value)?;
                self.graph[last].last_word = true;
                Ok(last)
            }
            Builtin::Validate { schema, value } => self.validate_call(id, *schema, *value),
            Builtin::Open { provider, inputs } => self.open_call(id, provider.as_deref(), *inputs),
            Builtin::Rotate { provider, inputs, state } => self.rotate_call(id, provider.as_deref(), *inputs, *state),
        }
    }

    /// Evaluates an expression and holds the result against `accept`; none when it does not fit.
    pub fn typed(&mut self, id: ExprId, accept: SchemaId) -> Given<Option<ValueId>> {
        let value = self.evaluate(id, accept)?;
        Ok(self.fits(value, accept)?.then_some(value))
    }

    /// An unknown result of the shape `schema`, or a known one: none of `inputs` may be missing or hold an
    /// unknown. With it, whether any input holds a secret.
    fn combine(&mut self, id: ExprId, inputs: &[Option<ValueId>], schema: SchemaId) -> Given<Result<bool, ValueId>> {
        let (mut unknown, mut secret) = (false, false);
        if inputs.iter().any(Option::is_none) {
            return Ok(Err(self.graph.unknown(id, schema)));
        }
        for input in inputs.iter().flatten() {
            unknown |= self.graph.contains(*input, Mark::Unknown)?;
            secret |= self.graph.contains(*input, Mark::Secret)?;
        }
        if !unknown {
            return Ok(Ok(secret));
        }
        let value = self.graph.unknown(id, schema);
        self.graph[value].secret = secret;
        Ok(Err(value))
    }

    fn failed(&mut self, id: ExprId, schema: SchemaId, secret: bool, message: String) -> ValueId {
        self.error(id, message);
        let value = self.graph.unknown(id, schema);
        self.graph[value].secret = secret;
        value
    }

    fn made(&mut self, id: ExprId, content: Content, secret: bool) -> ValueId {
        let value = self.graph.known(id, content);
        self.graph[value].secret = secret;
        value
    }

    fn text_of(&self, value: Option<ValueId>) -> Rc<str> {
        match value.map(|value| &self.graph[value].content) {
            Some(Content::Text(text)) => text.clone(),
            _ => Rc::from(""),
        }
    }

    fn items_of(&self, value: Option<ValueId>) -> Rc<[ValueId]> {
        match value.map(|value| &self.graph[value].content) {
            Some(Content::List(items)) => items.clone(),
            _ => Rc::from([]),
        }
    }

    fn ciphertext(&mut self, id: ExprId, envelope: &str) -> ValueId {
        let decrypter = self.scopes[self.graph[id].document as usize].decrypter.clone();
        let decrypts = !matches!(self.mode, Mode::Check { show_secrets: false });
        let plaintext = match decrypter.check(envelope) {
            Ok(()) if decrypts => decrypter.decrypt(envelope).map(Some),
            other => other.map(|()| None),
        };
        match plaintext {
            Ok(Some(text)) => self.made(id, Content::Text(text.into()), true),
            Ok(None) => {
                let value = self.graph.unknown(id, schema::STRING);
                self.graph[value].secret = true;
                value
            }
            Err(error) => self.failed(id, schema::STRING, true, error),
        }
    }

    /// A function from a string to a string.
    fn convert(
        &mut self,
        id: ExprId,
        argument: ExprId,
        function: impl FnOnce(&str) -> Result<String, String>,
    ) -> Given<ValueId> {
        let argument = self.typed(argument, schema::STRING)?;
        let secret = match self.combine(id, &[argument], schema::STRING)? {
            Ok(secret) => secret,
            Err(unknown) => return Ok(unknown),
        };
        let text = self.text_of(argument);
        self.graph.spend(text.len())?;
        Ok(match function(&text) {
            Ok(text) => self.made(id, Content::Text(text.into()), secret),
            Err(message) => self.failed(id, schema::STRING, secret, message),
        })
    }

    fn encode_json(&mut self, id: ExprId, argument: ExprId) -> Given<ValueId> {
        let argument = self.evaluate(argument, schema::ANY)?;
        let secret = match self.combine(id, &[Some(argument)], schema::STRING)? {
            Ok(secret) => secret,
            Err(unknown) => return Ok(unknown),
        };
        let mut text = String::new();
        let valid = self.write_json(argument, &mut text)?;
        if !valid {
            let message = "failed to encode JSON: a number is not finite".to_owned();
            return Ok(self.failed(id, schema::STRING, secret, message));
        }
        Ok(self.made(id, Content::Text(text.into()), secret))
    }

    /// Go's JSON of a value; false when it holds a number that JSON has not.
    fn write_json(&mut self, id: ValueId, out: &mut String) -> Given<bool> {
        let before = out.len();
        let mut valid = true;
        match self.graph[id].content.clone() {
            Content::Null => out.push_str("null"),
            Content::Bool(flag) => out.push_str(if flag { "true" } else { "false" }),
            Content::Number(text) => {
                valid = text.parse::<serde_json::Number>().is_ok();
                out.push_str(&text);
            }
            Content::Text(text) => json_string(&text, out),
            Content::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    valid &= self.write_json(*item, out)?;
                }
                out.push(']');
            }
            Content::Object(_) => {
                out.push('{');
                for (index, (key, member)) in self.graph.members(id)?.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    json_string(key, out);
                    out.push(':');
                    valid &= self.write_json(*member, out)?;
                }
                out.push('}');
            }
        }
        self.graph.spend(out.len() - before)?;
        Ok(valid)
    }

    fn decode_json(&mut self, id: ExprId, argument: ExprId) -> Given<ValueId> {
        let argument = self.typed(argument, schema::STRING)?;
        let secret = match self.combine(id, &[argument], schema::ANY)? {
            Ok(secret) => secret,
            Err(unknown) => return Ok(unknown),
        };
        let text = self.text_of(argument);
        self.graph.spend(text.len() * graph::VALUE / 2)?;
        match json::read_first(&text) {
            Ok(json) => Ok(self.import_json(&json, id, secret)),
            Err(error) => {
                // **Go's words repeat a character of the text**, which may be a secret.
                let reason = if secret { error.without_text() } else { error.to_string() };
                Ok(self.failed(id, schema::ANY, secret, format!("decoding JSON string: {reason}")))
            }
        }
    }

    fn import_json(&mut self, json: &Json, def: ExprId, secret: bool) -> ValueId {
        let content = match json {
            Json::Null => Content::Null,
            Json::Bool(flag) => Content::Bool(*flag),
            Json::Number(number) => Content::Number(number.to_string().into()),
            Json::String(text) => Content::Text(text.as_str().into()),
            Json::Array(items) => Content::List(items.iter().map(|item| self.import_json(item, def, secret)).collect()),
            Json::Object(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| (key.as_str().into(), self.import_json(value, def, secret)));
                Content::Object(Rc::new(entries.collect()))
            }
        };
        self.made(def, content, secret)
    }

    /// Brings a value from outside into the graph. What is marked secret marks everything below it.
    pub fn import_value(&mut self, value: &Value, def: ExprId, secret: bool) -> ValueId {
        let secret = secret || value.secret;
        let content = match &value.content {
            value::Content::Null => Content::Null,
            value::Content::Bool(flag) => Content::Bool(*flag),
            value::Content::Number(text) => Content::Number(text.as_str().into()),
            value::Content::String(text) => Content::Text(text.as_str().into()),
            value::Content::List(items) => {
                Content::List(items.iter().map(|item| self.import_value(item, def, secret)).collect())
            }
            value::Content::Object(entries) => {
                let entries =
                    entries.iter().map(|(key, entry)| (key.as_str().into(), self.import_value(entry, def, secret)));
                Content::Object(Rc::new(entries.collect::<BTreeMap<_, _>>()))
            }
        };
        let made = self.made(def, content, secret);
        self.graph[made].unknown = value.unknown;
        made
    }

    fn stringify(&mut self, id: ExprId, argument: ExprId) -> Given<ValueId> {
        let argument = self.evaluate(argument, schema::ANY)?;
        let text = self.graph.text_form(argument)?;
        let value = if text.unknown { self.graph.unknown(id, schema::STRING) } else { self.graph.text(id, &text.text) };
        self.graph[value].secret = text.secret;
        Ok(value)
    }

    fn join(&mut self, id: ExprId, delimiter: ExprId, values: ExprId) -> Given<ValueId> {
        let delimiter = self.typed(delimiter, schema::STRING)?;
        let values = self.typed(values, schema::STRINGS)?;
        let secret = match self.combine(id, &[delimiter, values], schema::STRING)? {
            Ok(secret) => secret,
            Err(unknown) => return Ok(unknown),
        };
        let texts: Vec<_> = self.items_of(values).iter().map(|item| self.text_of(Some(*item))).collect();
        let delimiter = self.text_of(delimiter);
        self.graph.spend(texts.iter().map(|text| text.len() + delimiter.len()).sum())?;
        let joined = texts.join(delimiter.as_ref());
        Ok(self.made(id, Content::Text(joined.into()), secret))
    }

    /// **The parts do not bear the secret mark, only the list does** (esc-language.md §6).
    fn split(&mut self, id: ExprId, delimiter: ExprId, text: ExprId) -> Given<ValueId> {
        let delimiter = self.typed(delimiter, schema::STRING)?;
        let text = self.typed(text, schema::STRING)?;
        let secret = match self.combine(id, &[delimiter, text], schema::STRINGS)? {
            Ok(secret) => secret,
            Err(unknown) => return Ok(unknown),
        };
        let (delimiter, text) = (self.text_of(delimiter), self.text_of(text));
        self.graph.spend(text.len() * graph::VALUE)?;
        let parts: Vec<ValueId> = if delimiter.is_empty() {
            let mut buffer = [0; 4];
            text.chars().map(|letter| self.graph.text(id, letter.encode_utf8(&mut buffer))).collect()
        } else {
            text.split(delimiter.as_ref()).map(|part| self.graph.text(id, part)).collect()
        };
        if secret && self.providers.careful {
            parts.iter().for_each(|part| self.graph[*part].secret = true);
        }
        Ok(self.made(id, Content::List(parts.into()), secret))
    }

    fn concat(&mut self, id: ExprId, lists: ExprId) -> Given<ValueId> {
        let lists = self.typed(lists, schema::LISTS)?;
        let secret = match self.combine(id, &[lists], schema::LIST)? {
            Ok(secret) => secret,
            Err(unknown) => return Ok(unknown),
        };
        let mut items = Vec::new();
        for list in self.items_of(lists).iter() {
            let list = self.items_of(Some(*list));
            self.graph.spend(list.len() * 8)?;
            items.extend_from_slice(&list);
        }
        Ok(self.made(id, Content::List(items.into()), secret))
    }

    /// The value as the result of the call `id`: marked as a whole with what it contains.
    fn pass_through(&mut self, id: ExprId, value: ValueId) -> Given<ValueId> {
        let (unknown, secret) = (self.graph.contains(value, Mark::Unknown)?, self.graph.contains(value, Mark::Secret)?);
        let schema = if unknown { self.graph.schema_of(value)? } else { schema::ANY };
        let based = self.graph[id].base.is_some();
        // A merge would reach the members that the argument shares with the result.
        let value = if based { self.graph.copy(value)? } else { value };
        let (content, depth) = (self.graph[value].content.clone(), self.graph[value].depth);
        let passed = self.graph.known(id, content);
        let made = &mut self.graph[passed];
        (made.unknown, made.secret, made.schema, made.depth) = (unknown, secret, schema, depth);
        if based {
            self.graph.show_own_members(passed)?;
        }
        Ok(passed)
    }

    fn validate_call(&mut self, id: ExprId, schema: ExprId, value: ExprId) -> Given<ValueId> {
        let accept = self.validation_schema(schema)?;
        let checked = self.evaluate(value, accept.map_or(schema::ANY, |(accept, _)| accept))?;
        if let Some((accept, secret)) = accept {
            let before = self.findings.len();
            self.fits(checked, accept)?;
            // **Messages repeat what the schema expects**, which may be a secret.
            for finding in self.findings.iter_mut().skip(before).filter(|_| secret) {
                "the value does not fit its secret schema".clone_into(&mut finding.summary);
            }
        }
        self.pass_through(id, checked)
    }

    /// The schema that an expression spells; none when it is unknown or wrong, which is then reported.
    /// With it, whether it holds a secret.
    fn validation_schema(&mut self, expression: ExprId) -> Given<Option<(SchemaId, bool)>> {
        let json_schema = self.graph.schemas.json_schema();
        let spelled = self.evaluate(expression, json_schema)?;
        let fits = self.fits(spelled, json_schema)?;
        if self.graph.contains(spelled, Mark::Unknown)? || !fits {
            return Ok(None);
        }
        let secret = self.graph.contains(spelled, Mark::Secret)?;
        let json = self.export_value(spelled)?.to_plain_json(false);
        match self.graph.schemas.read(&json) {
            Ok(schema) => Ok(Some((schema, secret))),
            Err(error) => {
                let reason = if secret { "the reason would show a secret" } else { &error };
                self.error(expression, format!("invalid schema: {reason}"));
                Ok(None)
            }
        }
    }
}

fn from_base64(text: &str) -> Result<String, String> {
    let bytes = base64::decode(text).map_err(|error| format!("decoding base64 string: {error}"))?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| go_text(error.as_bytes())))
}

/// Bytes as Go shows them in JSON: each byte that is no UTF-8 becomes one replacement character.
fn go_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A string as Go's `encoding/json` writes it, with `<`, `>` and `&` escaped for HTML.
fn json_string(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}
