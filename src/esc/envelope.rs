//! ESC's envelope around a stored secret: base64 of `"escx" | version 1 | ciphertext | CRC-32`, numbers big-endian
//! (esc-language.md §8).
//!
//! It says nothing about the cipher: each crypter puts its own bytes inside. The checksum finds accidents,
//! not attacks; those are the cipher's task.

use super::base64::{self, Illegal};

const MAGIC: &[u8; 4] = b"escx";
const VERSION: u32 = 1;
/// Shorter envelopes are not read by any ESC.
const SHORTEST: usize = 16;

/// Why a text is not an envelope. The texts are ESC's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("invalid ciphertext: EOF")]
    TooShort,
    #[error("invalid ciphertext: invalid header")]
    Header,
    #[error("invalid ciphertext: invalid checksum")]
    Checksum,
    #[error("invalid ciphertext: unsupported version")]
    Version,
    #[error("invalid ciphertext: {0}")]
    Base64(#[from] Illegal),
}

/// Wraps a ciphertext.
///
/// # Errors
/// [`EnvelopeError::TooShort`] for less than four bytes, because no ESC could read the result back.
pub fn encode(ciphertext: &[u8]) -> Result<String, EnvelopeError> {
    if MAGIC.len() + 4 + ciphertext.len() + 4 < SHORTEST {
        return Err(EnvelopeError::TooShort);
    }
    let mut bytes = Vec::with_capacity(ciphertext.len() + 12);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(ciphertext);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    Ok(base64::encode(&bytes))
}

/// Takes the ciphertext out of an envelope. Line breaks in `text` are ignored, as ESC's reader does.
///
/// # Errors
/// [`EnvelopeError`]; the first that applies, in the order of its cases but for base64, which comes first.
pub fn decode(text: &str) -> Result<Vec<u8>, EnvelopeError> {
    let bytes = base64::decode(text)?;
    let (body, checksum) = match bytes.len().checked_sub(4) {
        Some(end) if bytes.len() >= SHORTEST => bytes.split_at(end),
        _ => return Err(EnvelopeError::TooShort),
    };
    let (magic, body_after_magic) = body.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(EnvelopeError::Header);
    }
    if checksum != crc32fast::hash(body).to_be_bytes() {
        return Err(EnvelopeError::Checksum);
    }
    let (version, ciphertext) = body_after_magic.split_at(4);
    if version != VERSION.to_be_bytes() {
        return Err(EnvelopeError::Version);
    }
    Ok(ciphertext.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn envelope(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = base64::decode(&encode(b"cipher").unwrap()).unwrap();
        change(&mut bytes);
        base64::encode(bytes)
    }

    #[test]
    fn has_the_layout_of_the_fact_sheet() {
        let bytes = base64::decode(&encode(b"abcd").unwrap()).unwrap();
        assert_eq!(&bytes[..12], b"escx\x00\x00\x00\x01abcd");
        // zlib.crc32(b"escx\0\0\0\1abcd")
        assert_eq!(bytes[12..], crc32fast::hash(&bytes[..12]).to_be_bytes());
        assert_eq!(encode(b"abc"), Err(EnvelopeError::TooShort));
    }

    #[test]
    fn says_what_is_wrong_in_the_words_of_esc() {
        let sentence = |text: &str| decode(text).unwrap_err().to_string();
        assert_eq!(sentence(""), "invalid ciphertext: EOF");
        assert_eq!(sentence(&envelope(|bytes| bytes.truncate(15))), "invalid ciphertext: EOF");
        assert_eq!(sentence(&envelope(|bytes| bytes[0] = b'E')), "invalid ciphertext: invalid header");
        assert_eq!(sentence(&envelope(|bytes| bytes[9] ^= 1)), "invalid ciphertext: invalid checksum");
        let other_version = envelope(|bytes| {
            bytes[7] = 2;
            let end = bytes.len() - 4;
            let checksum = crc32fast::hash(&bytes[..end]);
            bytes[end..].copy_from_slice(&checksum.to_be_bytes());
        });
        assert_eq!(sentence(&other_version), "invalid ciphertext: unsupported version");
        assert_eq!(sentence("ZXNj*"), "invalid ciphertext: illegal base64 data at input byte 4");
    }

    #[test]
    fn line_breaks_do_not_matter() {
        let text = encode(b"some ciphertext").unwrap();
        let (front, back) = text.split_at(10);
        assert_eq!(decode(&format!("{front}\r\n{back}\n")).unwrap(), b"some ciphertext");
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(ciphertext in proptest::collection::vec(any::<u8>(), 4..200)) {
            prop_assert_eq!(decode(&encode(&ciphertext).unwrap()).unwrap(), ciphertext);
        }

        #[test]
        fn no_text_crashes_the_reader(text in ".{0,80}") {
            let _ = decode(&text);
        }
    }
}
