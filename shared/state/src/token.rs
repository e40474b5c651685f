//! Tokens: what a write returns, and a read that must see the write is given.
//!
//! A token goes from one program to another, in a header or a URL, and may come back after the dataset was made again. So it
//! is a string that its users pass on as it is, it knows its dataset, and it begins with the number of its form, so that
//! later forms (of other logs) differ from damage.
//!
//! Rules: at most 64 characters, all of them safe in a URL; one token has one spelling.

use std::fmt;
use std::str::FromStr;

use crate::ids::{DatasetId, Version};

/// The longest token of any form, in bytes.
pub const TOKEN_BYTES_MAX: usize = 64;

/// The form written here: its number, the dataset's id, the version; numbers in hexadecimal digits.
const FORM: &str = "1";
const DATASET_DIGITS: usize = 32;

/// What a write returns: a read with `view_at_least(token)` sees that write.
///
/// Its text is for programs: pass it on as it is.
///
/// # Example
/// ```
/// # use cenote_producer::{Producer, Record};
/// use cenote_consumer::Token;
///
/// # #[derive(Record)]
/// # #[record(key = "id")]
/// # struct Movie { id: u64 }
/// # async fn example() -> Result<(), cenote_producer::BoxError> {
/// # let mut producer = Producer::builder("memory://token").with::<Movie>().open().await?;
/// let updated = producer.update(|changes| Ok(changes.upsert(&Movie { id: 1 })?)).await?;
/// let header = updated.token().to_string();
/// assert!(header.len() <= 64);
/// // In another program:
/// let token: Token = header.parse()?;
/// assert_eq!((token, token.version()), (updated.token(), updated.version()));
/// println!("a write to {}", token.dataset());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    dataset: DatasetId,
    version: Version,
}

/// Why a text is not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not what a producer gave out.
    #[error("it is not a token: pass on what the producer's report returned, as it is")]
    Malformed,
    /// Of a form that this release does not know.
    #[error("it is a token of a newer release; upgrade this program")]
    Newer,
}

impl Token {
    /// The token of a version of a dataset: what a producer's reports return.
    #[doc(hidden)]
    #[must_use]
    pub fn new(dataset: DatasetId, version: Version) -> Token {
        Token { dataset, version }
    }

    /// The dataset that was written to.
    ///
    /// [Example](Token#example)
    #[must_use]
    pub fn dataset(self) -> DatasetId {
        self.dataset
    }

    /// The first version that shows the write.
    ///
    /// [Example](Token#example)
    #[must_use]
    pub fn version(self) -> Version {
        self.version
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM}-{}-{:x}", self.dataset, self.version.0)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Token, TokenError> {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        if text.len() > TOKEN_BYTES_MAX || !text.bytes().all(is_safe) {
            return Err(TokenError::Malformed);
        }
        let (form, rest) = text.split_once('-').ok_or(TokenError::Malformed)?;
        if form != FORM {
            let is_number =
                form.bytes().all(|byte| byte.is_ascii_digit()) && !form.is_empty() && !form.starts_with('0');
            return Err(if is_number { TokenError::Newer } else { TokenError::Malformed });
        }
        let token = parse(rest).ok_or(TokenError::Malformed)?;
        // Only the one spelling that we would write: caches and logs compare texts.
        if token.to_string() == text { Ok(token) } else { Err(TokenError::Malformed) }
    }
}

fn parse(text: &str) -> Option<Token> {
    let (dataset, version) = text.split_once('-')?;
    let dataset = (dataset.len() == DATASET_DIGITS).then(|| u128::from_str_radix(dataset, 16).ok()).flatten()?;
    let version = u64::from_str_radix(version, 16).ok()?;
    Some(Token { dataset: DatasetId(dataset.to_be_bytes()), version: Version(version) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_read_back(dataset in any::<[u8; 16]>(), version in any::<u64>()) {
            let token = Token::new(DatasetId(dataset), Version(version));
            let text = token.to_string();
            prop_assert!(text.len() <= TOKEN_BYTES_MAX);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{}", text);
            prop_assert_eq!(text.parse(), Ok(token));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = text.parse::<Token>();
        }
    }

    #[test]
    fn a_token_is_as_drawn() {
        let token = Token::new(DatasetId(*b"0123456789abcdef"), Version(255));
        assert_eq!(token.to_string(), "1-30313233343536373839616263646566-ff");
    }

    #[test]
    fn other_spellings_are_no_tokens() {
        let id = "30313233343536373839616263646566";
        for text in
            ["", "1", "7", "1-", "01-x", "one-x", &format!("1-{id}"), &format!("1-{id}-0ff"), &format!("1-{id}-FF")]
        {
            assert_eq!(text.parse::<Token>(), Err(TokenError::Malformed), "{text}");
        }
        for text in [
            format!("1-{id}-+ff"),
            format!("1-{id}-ff "),
            format!("1-{}-ff", &id[1..]),
            format!("1-{id}-{}", "0".repeat(40)),
        ] {
            assert_eq!(text.parse::<Token>(), Err(TokenError::Malformed), "{text}");
        }
        assert_eq!("2-whatever".parse::<Token>(), Err(TokenError::Newer));
    }
}
