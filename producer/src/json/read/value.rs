//! One value of a line, in canonical bytes.

use std::borrow::Cow;
use std::sync::Arc;

use cenote_state::ids::TypeId;
use cenote_state::keys::from_hex;
use cenote_state::record::Interner;
use cenote_state::row::push_element_with;
use cenote_state::schema::ValueKind;

use super::super::cursor::{Cursor, Token};
use super::super::error::{Fault, Problem, shortened};
use super::super::number::{is_exact_f32, is_exact_f64, is_whole, out_of_range, signed_range, unsigned_max};
use super::{RowReader, append};

impl RowReader {
    /// One value.
    pub(super) fn value(
        &mut self,
        kind: &ValueKind,
        cursor: &mut Cursor<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match kind {
            ValueKind::Component(id) => {
                self.expect(cursor, Token::Object, || self.schema.get(*id).name.clone(), "write an object")?;
                self.component(*id, interner, out, |reader, spare, interner| {
                    reader.record(*id, cursor, interner, &mut spare.row, &mut spare.seen)
                })
            }
            ValueKind::Key(id) => self.key(*id, cursor, out),
            ValueKind::String | ValueKind::Dedup(_)
                if self.is_as_text && matches!(cursor.peek()?, Token::Number | Token::Bool) =>
            {
                let text = cursor.raw()?;
                self.text(kind, text, interner, out)
            }
            _ => {
                let scalar = scalar(kind, cursor)?;
                self.scalar(kind, &scalar, interner, out)
            }
        }
    }

    /// Text that is not written as a string.
    pub(super) fn text(
        &mut self,
        kind: &ValueKind,
        text: &str,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.scalar(kind, &Scalar::Bytes(Cow::Borrowed(text.as_bytes())), interner, out)
    }

    /// What elements of a kind are called.
    pub(super) fn expected(&self, kind: &ValueKind) -> String {
        match kind {
            ValueKind::Component(id) => self.schema.get(*id).name.clone(),
            kind => named(kind).0,
        }
    }

    /// The name in an object that is a map: a key as text.
    pub(super) fn map_key(
        &mut self,
        kind: &ValueKind,
        name: &str,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let types = Arc::clone(&self.types);
        let kinds = match kind {
            ValueKind::Key(id) => types[id.index()].key.as_slice(),
            kind => std::slice::from_ref(kind),
        };
        match kinds {
            [kind] => self.scalar(kind, &scalar_of_text(kind, name)?, interner, out),
            _ => Err(Problem::WrongType {
                found: format!("{name:?}"),
                expected: "a key of several parts here".to_owned(),
                remedy: "publish such maps from a program",
            }
            .into()),
        }
    }

    fn scalar(
        &mut self,
        kind: &ValueKind,
        scalar: &Scalar<'_>,
        interner: &mut dyn Interner,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match (kind, scalar) {
            (ValueKind::Dedup(id), Scalar::Bytes(text)) => self.component(*id, interner, out, |reader, spare, _| {
                spare.row.clear(reader.schema.get(*id).fields.len());
                spare.row.set(0, |out| append(out, text))
            }),
            (ValueKind::Enum(names), Scalar::Bytes(name)) => {
                let number = names.iter().position(|known| known.as_bytes() == name.as_ref());
                append(out, &(number.expect("checked when it was read") as u64).to_le_bytes())
            }
            (_, scalar) => append(out, scalar.bytes()),
        }
    }

    /// A root's key: a value, or an array of several.
    fn key(&self, id: TypeId, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let parts = &self.types[id.index()].key;
        if let [kind] = parts.as_slice() {
            return append(out, scalar(kind, cursor)?.bytes());
        }
        let expected = || format!("Key<{}>, of {} parts", self.schema.get(id).name, parts.len());
        let remedy = "write an array of the key's parts";
        self.expect(cursor, Token::Array, expected, remedy)?;
        let mut count = 0;
        cursor.array(|cursor, index| {
            count = index + 1;
            let Some(kind) = parts.get(index) else { return Ok(cursor.skip()?) };
            let part = scalar(kind, cursor).map_err(|problem| Fault::from(problem).at(index))?;
            let is_sized = matches!(part, Scalar::Bytes(_));
            push_element_with(is_sized, out, |out| append(out, part.bytes()))
        })?;
        if count == parts.len() {
            return Ok(());
        }
        Err(Problem::WrongType { found: format!("an array of {count}"), expected: expected(), remedy }.into())
    }
}

/// A value that isn't a component; an enum is its name, as in keys.
enum Scalar<'a> {
    Eight([u8; 8]),
    Four([u8; 4]),
    Bytes(Cow<'a, [u8]>),
}

impl Scalar<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Scalar::Eight(bytes) => bytes,
            Scalar::Four(bytes) => bytes,
            Scalar::Bytes(bytes) => bytes,
        }
    }
}

fn scalar<'a>(kind: &ValueKind, cursor: &mut Cursor<'a>) -> Result<Scalar<'a>, Problem> {
    match (kind, cursor.peek()?) {
        (ValueKind::Bool, Token::Bool) => Ok(Scalar::Eight(u64::from(cursor.bool()?).to_le_bytes())),
        (ValueKind::Int(_) | ValueKind::UInt(_) | ValueKind::F32 | ValueKind::F64, Token::Number) => {
            number(kind, cursor.number()?)
        }
        (ValueKind::F32 | ValueKind::F64, Token::Text) => float_of_text(kind, &cursor.text()?),
        (ValueKind::String | ValueKind::Dedup(_) | ValueKind::Enum(_) | ValueKind::Bytes, Token::Text) => {
            text(kind, cursor.text()?)
        }
        (_, found) => Err(wrong_type(kind, cursor.shown(found)?)),
    }
}

/// A map's key as JSON has it, where names are text.
fn scalar_of_text<'a>(kind: &ValueKind, name: &'a str) -> Result<Scalar<'a>, Problem> {
    match kind {
        ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) | ValueKind::F32 | ValueKind::F64 => {
            let mut cursor = Cursor::new(name);
            let read = match cursor.peek() {
                Ok(Token::Bool | Token::Number) => scalar(kind, &mut cursor),
                _ => float_of_text(kind, name),
            };
            match (read, cursor.end()) {
                (Ok(Scalar::Four(bytes)), _) if matches!(name, "NaN" | "Infinity" | "-Infinity") => {
                    Ok(Scalar::Four(bytes))
                }
                (Ok(read), Ok(())) => Ok(read),
                (Err(problem @ (Problem::OutOfRange { .. } | Problem::NotExact { .. })), _) => Err(problem),
                _ => Err(wrong_type(kind, format!("{name:?}"))),
            }
        }
        _ => text(kind, Cow::Borrowed(name)),
    }
}

fn text<'a>(kind: &ValueKind, text: Cow<'a, str>) -> Result<Scalar<'a>, Problem> {
    match kind {
        ValueKind::Enum(names) if !names.iter().any(|name| *name == text) => {
            Err(Problem::UnknownVariant { found: text.into_owned(), variants: names.join(", ") })
        }
        ValueKind::Bytes => match from_hex(&text) {
            Some(bytes) => Ok(Scalar::Bytes(Cow::Owned(bytes))),
            None => Err(wrong_type(kind, "a string that isn't hexadecimal".to_owned())),
        },
        _ => Ok(Scalar::Bytes(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })),
    }
}

fn number(kind: &ValueKind, text: &str) -> Result<Scalar<'static>, Problem> {
    match kind {
        ValueKind::F32 | ValueKind::F64 => float(kind, text),
        _ if !is_whole(text) => {
            let (expected, remedy) = (named(kind).0, "write a whole number, or run again with --widen");
            Err(Problem::WrongType { found: format!("the number {}", shortened(text)), expected, remedy })
        }
        ValueKind::Int(bytes) => {
            let (min, max) = signed_range(*bytes);
            let number = text.parse().ok().filter(|number: &i64| (min..=max).contains(number));
            let number = number.ok_or_else(|| out_of_range(named(kind).0, text, min, max))?;
            Ok(Scalar::Eight(number.to_le_bytes()))
        }
        ValueKind::UInt(bytes) => {
            let max = unsigned_max(*bytes);
            // "-0" is a number that JSON has, and u64 does not parse.
            let text = if text == "-0" { "0" } else { text };
            let number = text.parse().ok().filter(|number: &u64| *number <= max);
            let number = number.ok_or_else(|| out_of_range(named(kind).0, text, 0_u64, max))?;
            Ok(Scalar::Eight(number.to_le_bytes()))
        }
        _ => unreachable!("asked for numbers only"),
    }
}

fn float(kind: &ValueKind, text: &str) -> Result<Scalar<'static>, Problem> {
    let not_exact = |kind| Problem::NotExact { number: shortened(text), kind };
    if *kind == ValueKind::F32 {
        let number: f32 = text.parse().expect("JSON numbers are Rust's");
        return match number {
            number if number.is_infinite() => Err(out_of_range(named(kind).0, text, f32::MIN, f32::MAX)),
            _ if is_whole(text) && !is_exact_f32(text) => Err(not_exact("f32")),
            number => Ok(Scalar::Four(number.to_le_bytes())),
        };
    }
    let number: f64 = text.parse().expect("JSON numbers are Rust's");
    match number {
        number if number.is_infinite() => Err(out_of_range(named(kind).0, text, f64::MIN, f64::MAX)),
        _ if is_whole(text) && !is_exact_f64(text) => Err(not_exact("f64")),
        number => Ok(Scalar::Eight(number.to_le_bytes())),
    }
}

/// The floats that JSON has no numbers for.
fn float_of_text(kind: &ValueKind, text: &str) -> Result<Scalar<'static>, Problem> {
    let number = match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ => return Err(wrong_type(kind, format!("the string {:?}", shortened(text)))),
    };
    match kind {
        ValueKind::F32 => Ok(Scalar::Four((number as f32).to_le_bytes())),
        ValueKind::F64 => Ok(Scalar::Eight(number.to_le_bytes())),
        _ => Err(wrong_type(kind, format!("{text:?}"))),
    }
}

fn wrong_type(kind: &ValueKind, found: String) -> Problem {
    let (expected, remedy) = named(kind);
    Problem::WrongType { found, expected, remedy }
}

/// A kind's name, and how its values are written.
fn named(kind: &ValueKind) -> (String, &'static str) {
    match kind {
        ValueKind::Bool => ("bool".to_owned(), "write true or false"),
        ValueKind::Int(bytes) => (format!("i{}", 8 * u32::from(*bytes)), "write a whole number"),
        ValueKind::UInt(bytes) => (format!("u{}", 8 * u32::from(*bytes)), "write a whole number"),
        ValueKind::F32 => ("f32".to_owned(), "write a number"),
        ValueKind::F64 => ("f64".to_owned(), "write a number"),
        ValueKind::Bytes => ("bytes".to_owned(), "write them as hexadecimal digits in a string"),
        ValueKind::Enum(_) => ("an enum".to_owned(), "write a variant's name as a string"),
        _ => ("String".to_owned(), "write a string"),
    }
}
