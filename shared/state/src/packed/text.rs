//! Text as a reader holds it: unpacked piece by piece, where it is looked at.

use std::cmp::Ordering;
use std::fmt;
use std::io;

use serde::{Serialize, Serializer};

use super::table::{ESCAPE, SymbolTable};

/// The value of a field under `#[record(packed)]`, in its packed form. Cheap to copy.
///
/// It compares, displays, writes itself out and counts without an allocation; each look unpacks again, so a caller that
/// needs the text more than once should make it a `String`.
///
/// # Example
/// ```
/// use cenote_consumer::Text;
///
/// let text = Text::from("a clear pool");
/// assert!(text == "a clear pool" && text < "b" && text.len() == 12 && !text.is_empty());
/// assert_eq!(format!("{text:>14}"), "  a clear pool");
/// let mut page = String::from("It is ");
/// text.push_to(&mut page);
/// assert_eq!(page, "It is a clear pool");
/// let mut response = Vec::new();
/// text.write_to(&mut response)?;
/// assert_eq!(response, b"a clear pool");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Text<'v>(Stored<'v>);

#[derive(Clone, Copy)]
enum Stored<'v> {
    Plain(&'v str),
    Packed(&'v [u8], &'v SymbolTable),
}

/// Text is unpacked in pieces of about this many bytes.
const PIECE_BYTES: usize = 256;

impl<'v> Text<'v> {
    /// No text.
    pub const EMPTY: Text<'static> = Text(Stored::Plain(""));

    /// Text that was validated when its segment was made.
    pub(crate) fn packed(packed: &'v [u8], table: &'v SymbolTable) -> Text<'v> {
        Text(Stored::Packed(packed, table))
    }

    /// Bytes of the text, in UTF-8; looks at each of its codes.
    ///
    /// [Example](Text#example)
    #[must_use]
    pub fn len(self) -> usize {
        match self.0 {
            Stored::Plain(text) => text.len(),
            Stored::Packed(packed, table) => table.checked_len(packed).expect("packed text is validated once"),
        }
    }

    /// Whether there is no text.
    ///
    /// [Example](Text#example)
    #[must_use]
    pub fn is_empty(self) -> bool {
        match self.0 {
            Stored::Plain(text) => text.is_empty(),
            Stored::Packed(packed, _) => packed.is_empty(),
        }
    }

    /// Appends the text.
    ///
    /// [Example](Text#example)
    pub fn push_to(self, out: &mut String) {
        self.pieces(&mut |piece| {
            out.push_str(piece);
            true
        });
    }

    /// Writes the text out.
    ///
    /// [Example](Text#example)
    ///
    /// # Errors
    /// The writer's.
    pub fn write_to(self, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
        let mut result = Ok(());
        self.pieces(&mut |piece| {
            result = out.write_all(piece.as_bytes());
            result.is_ok()
        });
        result
    }

    /// Appends the text's bytes.
    pub(crate) fn extend(self, out: &mut Vec<u8>) {
        match self.0 {
            Stored::Plain(text) => out.extend_from_slice(text.as_bytes()),
            Stored::Packed(packed, table) => table.unpack(packed, out),
        }
    }

    /// Calls `take` with one piece after another, until it returns `false`.
    fn pieces(self, take: &mut impl FnMut(&str) -> bool) {
        let (packed, table) = match self.0 {
            Stored::Plain(text) => {
                take(text);
                return;
            }
            Stored::Packed(packed, table) => (packed, table),
        };
        let mut piece = [0; PIECE_BYTES + 8];
        let mut end = 0;
        let mut codes = packed.iter();
        while let Some(code) = codes.next() {
            if *code == ESCAPE {
                piece[end] = *codes.next().expect("packed text is validated once");
                end += 1;
            } else {
                piece[end..end + 8].copy_from_slice(&table.symbols[usize::from(*code)].to_le_bytes());
                end += usize::from(table.lengths[usize::from(*code)]);
            }
            if end >= PIECE_BYTES {
                let whole = whole_chars(&piece[..end]);
                if !take(whole) {
                    return;
                }
                // A char may go on in the next piece.
                let whole = whole.len();
                piece.copy_within(whole..end, 0);
                end -= whole;
            }
        }
        if end > 0 {
            take(whole_chars(&piece[..end]));
        }
    }

    fn compare(self, other: &str) -> Ordering {
        let mut rest = other.as_bytes();
        let mut ordering = Ordering::Equal;
        self.pieces(&mut |piece| {
            let (front, after) = rest.split_at(piece.len().min(rest.len()));
            rest = after;
            ordering = piece.as_bytes().cmp(front);
            ordering.is_eq()
        });
        ordering.then(if rest.is_empty() { Ordering::Equal } else { Ordering::Less })
    }
}

/// The piece without a char that it has the front of only.
fn whole_chars(piece: &[u8]) -> &str {
    match std::str::from_utf8(piece) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&piece[..error.valid_up_to()]).expect("it is valid up to there"),
    }
}

impl<'v> From<&'v str> for Text<'v> {
    fn from(text: &'v str) -> Text<'v> {
        Text(Stored::Plain(text))
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> String {
        let mut bytes = Vec::with_capacity(text.len());
        text.extend(&mut bytes);
        String::from_utf8(bytes).expect("packed text is validated once")
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() || f.precision().is_some() {
            return f.pad(&String::from(*self));
        }
        let mut result = Ok(());
        self.pieces(&mut |piece| {
            result = f.write_str(piece);
            result.is_ok()
        });
        result
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from(*self), f)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Text<'_>) -> bool {
        match (self.0, other.0) {
            (Stored::Plain(left), _) => *other == *left,
            (_, Stored::Plain(right)) => *self == *right,
            (Stored::Packed(left, by), Stored::Packed(right, same)) if std::ptr::eq(by, same) && left == right => true,
            _ => self.len() == other.len() && *self == *String::from(*other),
        }
    }
}

impl Eq for Text<'_> {}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Text<'_>) -> Ordering {
        match other.0 {
            Stored::Plain(text) => self.compare(text),
            Stored::Packed(..) => self.compare(&String::from(*other)),
        }
    }
}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Text<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.compare(other).is_eq()
    }
}

impl PartialOrd<str> for Text<'_> {
    fn partial_cmp(&self, other: &str) -> Option<Ordering> {
        Some(self.compare(other))
    }
}

macro_rules! like_str {
    ($($other:ty),*) => {
        $(
            impl PartialEq<$other> for Text<'_> {
                fn eq(&self, other: &$other) -> bool {
                    self.compare(other).is_eq()
                }
            }
            impl PartialOrd<$other> for Text<'_> {
                fn partial_cmp(&self, other: &$other) -> Option<Ordering> {
                    Some(self.compare(other))
                }
            }
            impl PartialEq<Text<'_>> for $other {
                fn eq(&self, other: &Text<'_>) -> bool {
                    other == self
                }
            }
        )*
    };
}

like_str!(&str, String);

impl PartialEq<Text<'_>> for str {
    fn eq(&self, other: &Text<'_>) -> bool {
        other == self
    }
}
