//! A cursor in a line of JSON: pulls one value after another, and keeps none.
//!
//! A number is its text until its type is known, so that it never passes through a float. Escaped strings are decoded
//! by serde_json, all else is read in place.
//!
//! Written by hand because published parsers cost more here. jiter also pulls values and gives a number's text, and takes
//! almost one and a half times as long for the same walk. serde_json gives that text by `arbitrary_precision` only, which changes
//! numbers in every crate of a build, or as a `RawValue`, for which nested values are read again at each level, as they
//! are by sonic-rs's lazy values.
//!
//! Rules (I9): nesting is limited; every step moves forward; whatever isn't JSON by RFC 8259 is an error with its place.

use std::borrow::Cow;

use super::error::{Problem, shortened};

/// Objects and arrays may be nested so deep.
const DEPTH_MAX: usize = 128;

/// What a value is, by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

impl Token {
    /// For people.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Token::Null => "null",
            Token::Bool => "true or false",
            Token::Number => "a number",
            Token::Text => "a string",
            Token::Array => "an array",
            Token::Object => "an object",
        }
    }
}

/// A place in a line.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0, depth: 0 }
    }

    /// What comes next.
    pub(super) fn peek(&mut self) -> Result<Token, Problem> {
        Ok(match self.next_byte() {
            Some(b'n') => Token::Null,
            Some(b't' | b'f') => Token::Bool,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b'"') => Token::Text,
            Some(b'[') => Token::Array,
            Some(b'{') => Token::Object,
            _ => return Err(self.expected("a value")),
        })
    }

    pub(super) fn null(&mut self) -> Result<(), Problem> {
        self.word("null")
    }

    pub(super) fn bool(&mut self) -> Result<bool, Problem> {
        let value = self.next_byte() == Some(b't');
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// A number's text.
    pub(super) fn number(&mut self) -> Result<&'a str, Problem> {
        self.space();
        let start = self.at;
        self.take(b"-");
        if !self.take(b"0") {
            self.digits()?;
        }
        if self.take(b".") {
            self.digits()?;
        }
        if self.take(b"eE") {
            self.take(b"+-");
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// A string's content.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, Problem> {
        if self.next_byte() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..0x20) => return Err(self.expected("a control character as an escape, like \\n")),
                Some(_) => self.at += 1,
                None => {
                    self.at = self.text.len();
                    return Err(self.expected("the closing quote of a string"));
                }
            }
        }
        self.at += 1;
        if !escaped {
            return Ok(Cow::Borrowed(&self.text[start + 1..self.at - 1]));
        }
        serde_json::from_str(&self.text[start..self.at]).map(Cow::Owned).map_err(|_| {
            self.at = start;
            self.expected("a string with escapes that JSON knows")
        })
    }

    /// Calls `each` with the name of every member; it takes the value.
    pub(super) fn object<E: From<Problem>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter()?;
        if self.next_byte() != Some(b'}') {
            loop {
                if self.next_byte() != Some(b'"') {
                    return Err(self.expected("a field's name in quotes").into());
                }
                let name = self.text()?;
                if !self.next_is(b':') {
                    return Err(self.expected("a colon").into());
                }
                each(self, name)?;
                if !self.next_is(b',') {
                    break;
                }
            }
        }
        self.leave(b'}', "a comma or the object's closing brace")?;
        Ok(())
    }

    /// Calls `each` with the number of every element; it takes the value.
    pub(super) fn array<E: From<Problem>>(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter()?;
        if self.next_byte() != Some(b']') {
            for index in 0.. {
                each(self, index)?;
                if !self.next_is(b',') {
                    break;
                }
            }
        }
        self.leave(b']', "a comma or the array's closing bracket")?;
        Ok(())
    }

    /// Passes over a value. Returns whether it is empty: `null`, or an array or object of nothing else.
    pub(super) fn is_empty_value(&mut self) -> Result<bool, Problem> {
        let mut nothing = true;
        match self.peek()? {
            Token::Null => self.null()?,
            Token::Array => self.array(|cursor, _| cursor.is_empty_value().map(|more| nothing &= more))?,
            Token::Object => self.object(|cursor, _| cursor.is_empty_value().map(|more| nothing &= more))?,
            _ => {
                self.skip()?;
                nothing = false;
            }
        }
        Ok(nothing)
    }

    /// Passes over a value; returns its text.
    pub(super) fn raw(&mut self) -> Result<&'a str, Problem> {
        self.space();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Passes over a value of any kind.
    pub(super) fn skip(&mut self) -> Result<(), Problem> {
        match self.peek()? {
            Token::Null => self.null(),
            Token::Bool => self.bool().map(drop),
            Token::Number => self.number().map(drop),
            Token::Text => self.text().map(drop),
            Token::Array => self.array(|cursor, _| cursor.skip()),
            Token::Object => self.object(|cursor, _| cursor.skip()),
        }
    }

    /// What comes next, for people.
    pub(super) fn shown(&mut self, token: Token) -> Result<String, Problem> {
        Ok(match token {
            Token::Bool => self.bool()?.to_string(),
            Token::Number => format!("the number {}", shortened(self.number()?)),
            Token::Text => format!("the string {:?}", shortened(&self.text()?)),
            other => other.shown().to_owned(),
        })
    }

    /// That nothing but space is left.
    pub(super) fn end(&mut self) -> Result<(), Problem> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the line")),
        }
    }

    fn enter(&mut self) -> Result<(), Problem> {
        if self.depth == DEPTH_MAX {
            return Err(self.expected("a value that isn't nested deeper than 128 levels"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self, closing: u8, expected: &'static str) -> Result<(), Problem> {
        if !self.next_is(closing) {
            return Err(self.expected(expected));
        }
        self.depth -= 1;
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Problem> {
        self.space();
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Problem> {
        let start = self.at;
        while self.take(b"0123456789") {}
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn take(&mut self, any_of: &[u8]) -> bool {
        let found = self.byte().is_some_and(|byte| any_of.contains(&byte));
        self.at += usize::from(found);
        found
    }

    fn next_is(&mut self, byte: u8) -> bool {
        let found = self.next_byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn next_byte(&mut self) -> Option<u8> {
        self.space();
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// An error at this place. Columns count characters, as editors do.
    fn expected(&self, expected: &'static str) -> Problem {
        let before = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let column = before.iter().filter(|byte| (**byte as i8) >= -0x40).count() + 1;
        Problem::Malformed { column, expected }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let mut cursor = Cursor::new(text);
        cursor.skip().and_then(|()| cursor.end()).map_err(|problem| problem.to_string())
    }

    #[test]
    fn takes_what_is_json() {
        for text in [
            "null",
            " true ",
            "false",
            "0",
            "-0",
            "-12.5e+3",
            "1E9",
            "\"\"",
            "\"a\\u00e9\\n\"",
            "[]",
            "{}",
            "[ 1 , 2 ]",
            "{ \"a\" : { \"b\" : [ null ] } , \"c\" : 1 }",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn names_the_place_of_what_is_not() {
        for (text, column, expected) in [
            ("", 1, "a value"),
            ("nul", 1, "null"),
            ("01", 2, "the end of the line"),
            ("1.", 3, "a digit"),
            ("[1 2]", 4, "a comma or the array's closing bracket"),
            ("[1,]", 4, "a value"),
            ("{\"é\" 1}", 6, "a colon"),
            ("{\"a\":1", 7, "a comma or the object's closing brace"),
            ("{\"a\":1,}", 8, "a field's name in quotes"),
            ("{a:1}", 2, "a field's name in quotes"),
            ("\"abc", 5, "the closing quote of a string"),
            ("\"abc\\", 6, "the closing quote of a string"),
            ("\"\\x\"", 1, "a string with escapes that JSON knows"),
            ("\"\\ud800\"", 1, "a string with escapes that JSON knows"),
            ("\"a\tb\"", 3, "a control character as an escape, like \\n"),
            ("{} {}", 4, "the end of the line"),
        ] {
            let said = format!("malformed JSON at column {column}: expected {expected}; correct the line");
            assert_eq!(check(text), Err(said), "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        assert_eq!(check(&format!("{}{}", "[".repeat(128), "]".repeat(128))), Ok(()));
        assert!(check(&"[".repeat(1_000_000)).is_err());
        assert!(check(&"{\"a\":".repeat(1_000_000)).is_err());
    }

    proptest! {
        /// The same texts as serde_json, but for numbers that it can't hold.
        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}\",:0-9.eE+ truefalsn\\\\\u{e9}-]{0,24}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let out_of_range = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
            prop_assert!(out_of_range || check(&text).is_ok() == theirs.is_ok(), "{text}");
        }
    }
}
