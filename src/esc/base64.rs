//! Go's standard base64, as ESC reads it: padded, line ends ignored, stray bits in the last letter ignored.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

const ENGINE: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// What is wrong, in Go's words: the place counts bytes from 0, line ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub struct Illegal(pub usize);

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    ENGINE.encode(bytes)
}

/// # Errors
/// [`Illegal`] for the first byte that cannot be.
pub fn decode(text: &str) -> Result<Vec<u8>, Illegal> {
    let letters: Vec<u8> = text.bytes().filter(|byte| !is_line_end(*byte)).collect();
    ENGINE.decode(letters).map_err(|_| Illegal(culprit(text.as_bytes())))
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Where Go stops: at a byte outside of the alphabet, at the start of a group of four that is cut short, or beside
/// padding that is not the end.
fn culprit(text: &[u8]) -> usize {
    let mut letters = text.iter().copied().enumerate().filter(|(_, byte)| !is_line_end(*byte));
    let mut in_group = 0;
    while let Some((at, byte)) = letters.next() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => in_group = (in_group + 1) % 4,
            b'=' if in_group == 2 => {
                return match letters.next() {
                    Some((_, b'=')) => letters.next().map_or(text.len(), |(at, _)| at),
                    // Go blames the byte before the one that ought to pad.
                    Some((next, _)) => next - 1,
                    None => text.len(),
                };
            }
            b'=' if in_group == 3 => return letters.next().map_or(text.len(), |(at, _)| at),
            _ => return at,
        }
    }
    // Go counts back from the end, line ends or not.
    text.len() - in_group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_go_does() {
        for (text, bytes) in
            [("", ""), ("aGk=", "hi"), ("aG\r\nk\n=", "hi"), ("aA==", "h"), ("aB==", "h"), ("aGl=", "hi")]
        {
            assert_eq!(decode(text).as_deref(), Ok(bytes.as_bytes()), "{text}");
        }
        // Each pair is what Go 1.26 says.
        for (text, at) in [
            ("a", 0),
            ("aGk", 0),
            ("aGkxa", 4),
            ("lit\n\n", 2),
            ("aGk=a", 4),
            ("aGk==", 4),
            ("aA=x", 2),
            ("aA=", 3),
            ("aA", 0),
            ("=", 0),
            ("a=", 1),
            ("aG-_", 2),
            ("a b=", 1),
            ("ä", 0),
            ("aA==\nb", 5),
            ("aA=\n\nx", 4),
            ("aGk=\n\nx", 6),
            ("{", 0),
        ] {
            assert_eq!(decode(text), Err(Illegal(at)), "{text}");
        }
    }
}
