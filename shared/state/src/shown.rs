//! Text from outside, as messages show it: escaped, so that it cannot forge lines or move a terminal's cursor.
//!
//! Names of types, fields and producers, tags, and what servers say come from others. Every message that shows one shows
//! it through [`shown`]. A schema's names are checked by [`is_plain`], so that they can be shown as they are.

use std::fmt::{self, Write};

/// `text` with its control characters and its characters that change the direction of text escaped.
///
/// ```
/// use cenote_state::shown::shown;
///
/// assert_eq!(shown("Movie").to_string(), "Movie");
/// assert_eq!(shown("a\u{1b}[2J\nb").to_string(), "a\\u{1b}[2J\\nb");
/// ```
pub fn shown<T: AsRef<str> + ?Sized>(text: &T) -> Shown<'_> {
    Shown(text.as_ref())
}

/// Displays a text escaped; [`shown`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'t>(&'t str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            return f.pad(self.0);
        }
        for letter in self.0.chars() {
            if is_hidden(letter) { write!(f, "{}", letter.escape_default())? } else { f.write_char(letter)? }
        }
        Ok(())
    }
}

/// Whether a name may be one: types, fields and variants have names without characters that [`shown`] would escape.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    !name.chars().any(is_hidden)
}

/// Control characters, line and paragraph separators, and marks and overrides of the direction of text.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
