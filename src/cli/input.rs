//! What a person or a pipe gives: stdin, hidden prompts, questions.

use std::io::{IsTerminal, Read, Write};

use zeroize::Zeroizing;

use crate::base::error::{Failure, Outcome};
use crate::base::secret::SecretValue;

/// Bytes of the largest secret that is read from stdin; far above GitHub's 48 KB, so that the limit is told by name.
const LARGEST_SECRET: u64 = 1 << 20;

/// Everything on stdin, at most `limit` bytes.
///
/// # Errors
/// `input-too-large`, `input`; kind usage.
pub fn stdin(limit: u64) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage("input", "stdin could not be read").cause(error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(Failure::usage("input-too-large", format!("stdin has more than {limit} bytes"))
            .hint("no such input needs that much: is it the right one?"));
    }
    Ok(bytes)
}

/// A secret: typed on a terminal without echo, or everything on stdin but one line break at its end.
///
/// # Errors
/// `input-empty` for nothing, and those of [`stdin`]; kind usage.
pub fn secret(prompt: &str) -> Outcome<SecretValue> {
    let bytes = if std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(prompt)
            .map_err(|error| Failure::usage("input", "nothing could be read from the terminal").cause(error))?;
        typed.into_bytes()
    } else {
        without_last_line_break(stdin(LARGEST_SECRET)?)
    };
    if bytes.is_empty() {
        return Err(Failure::usage("input-empty", "no value was given").hint("type one, or pipe it to stdin"));
    }
    Ok(SecretValue::new(bytes))
}

/// Whether stdin is a pipe or a file with something to read. Neither waits nor reads: a pipe that nobody has written
/// to yet holds nothing.
#[must_use]
pub fn stdin_holds_bytes() -> bool {
    holds_bytes(std::io::stdin())
}

#[cfg(not(unix))]
fn holds_bytes(_: std::io::Stdin) -> bool {
    false
}

#[cfg(unix)]
fn holds_bytes(input: impl std::os::fd::AsFd) -> bool {
    use std::os::unix::fs::FileTypeExt;

    let Ok(file) = input.as_fd().try_clone_to_owned().map(std::fs::File::from) else { return false };
    let is_given = file.metadata().is_ok_and(|about| about.is_file() || about.file_type().is_fifo());
    is_given && rustix::io::ioctl_fionread(&file).is_ok_and(|bytes| bytes > 0)
}

/// A passphrase that something new is closed with. On a terminal it is typed twice: nobody sees what was mistyped.
///
/// # Errors
/// `age-passphrase` when the two differ; those of [`secret`]; kind usage.
pub fn new_passphrase(prompt: &str) -> Outcome<SecretValue> {
    let typed = secret(prompt)?;
    if std::io::stdin().is_terminal() && !secret("The same once more: ")?.same_as(&typed) {
        return Err(Failure::usage("age-passphrase", "the two differ; nothing was written"));
    }
    Ok(typed)
}

/// `echo value |` adds a line break that nobody means; any other one belongs to the value.
fn without_last_line_break(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

/// Asks on the terminal for a word; whether it was given. No, without a terminal.
#[must_use]
pub fn confirmed(question: &str, word: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    let mut err = std::io::stderr();
    let _ = write!(err, "{question} Type `{word}` to go on: ");
    let _ = err.flush();
    let mut answer = Zeroizing::new(String::new());
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim() == word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_stdin_holds_is_told_without_reading_or_waiting() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        assert!(!holds_bytes(&reader), "open, and nothing was written");
        writer.write_all(b"v").unwrap();
        assert!(holds_bytes(&reader) && holds_bytes(&reader));
        drop(writer);
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 1);
        assert!(!holds_bytes(&reader), "at its end");
        let mut file = tempfile::tempfile().unwrap();
        assert!(!holds_bytes(&file));
        file.write_all(b"v").unwrap();
        assert!(!holds_bytes(&file), "at its end");
        std::io::Seek::rewind(&mut file).unwrap();
        assert!(holds_bytes(&file));
    }

    #[test]
    fn one_line_break_at_the_end_is_dropped_and_no_more() {
        for (given, kept) in
            [("v\n", "v"), ("v\r\n", "v"), ("v\n\n", "v\n"), ("v", "v"), ("\n", ""), ("a\nb \n", "a\nb ")]
        {
            assert_eq!(without_last_line_break(given.as_bytes().to_vec()), kept.as_bytes(), "{given:?}");
        }
    }
}
