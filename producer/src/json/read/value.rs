//! One value of a line, in canonical bytes.

use std::borrow::Cow;
use std::cmp::Ordering;

use cenote_state::ids::TypeId;
use cenote_state::record::Interner;
use cenote_state::schema::{KeyForm, Schema, Shape, ValueKind};

use super::super::cursor::{Cursor, Token};
use super::super::error::{Fault, Problem, shortened};
use super::super::number::{is_exact_f32, is_exact_f64, is_whole, out_of_range, signed_range, unsigned_max};
use super::{RowReader, append};

/// How canonical bytes of a kind are compared.
pub(super) type Order = fn(&[u8], &[u8]) -> Ordering;

/// By type: the kinds of a root's key parts; those of a `Key<T>` in it are T's.
#[derive(Debug)]
pub(super) struct Keys {
    parts: Vec<Vec<ValueKind>>,
}

impl Keys {
    pub(super) fn new(schema: &Schema) -> Keys {
        let parts = schema.iter().map(|(id, _)| {
            let mut kinds = Vec::new();
            // Also says that no key leads back to itself.
            if schema.key_form(id).is_ok() {
                collect(schema, id, &mut kinds);
            }
            kinds
        });
        Keys { parts: parts.collect() }
    }

    fn form(&self, id: TypeId) -> KeyForm {
        match self.parts[id.index()].as_slice() {
            [ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_)] => KeyForm::Image,
            [ValueKind::Bytes] => KeyForm::Bytes,
            [_] => KeyForm::Text,
            _ => KeyForm::Composite(Vec::new()),
        }
    }

    /// Whether values of this kind have a length of their own each.
    pub(super) fn is_variable(&self, kind: &ValueKind) -> bool {
        match kind {
            ValueKind::String | ValueKind::Bytes => true,
            ValueKind::Key(id) => self.form(*id) != KeyForm::Image,
            _ => false,
        }
    }

    /// The order in which a set or map of this kind stands.
    pub(super) fn order(&self, kind: &ValueKind) -> Order {
        match kind {
            ValueKind::Int(_) => signed,
            ValueKind::Key(id) if matches!(self.parts[id.index()].as_slice(), [ValueKind::Int(_)]) => signed,
            kind if self.is_variable(kind) => bytewise,
            _ => unsigned,
        }
    }
}

fn collect(schema: &Schema, id: TypeId, kinds: &mut Vec<ValueKind>) {
    for path in schema.get(id).key_paths() {
        let (mut at, mut found) = (id, None);
        for name in path {
            let field = schema.get(at).field(name).map(|index| &schema.get(at).fields[index].shape);
            let Some(Shape::One(kind)) = field else { return };
            if let ValueKind::Component(next) = kind {
                at = *next;
            }
            found = Some(kind);
        }
        match found {
            Some(ValueKind::Key(target)) => collect(schema, *target, kinds),
            Some(kind) => kinds.push(kind.clone()),
            None => {}
        }
    }
}

fn image(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(all)
}

fn signed(left: &[u8], right: &[u8]) -> Ordering {
    image(left).cast_signed().cmp(&image(right).cast_signed())
}

fn unsigned(left: &[u8], right: &[u8]) -> Ordering {
    image(left).cmp(&image(right))
}

fn bytewise(left: &[u8], right: &[u8]) -> Ordering {
    left.cmp(right)
}

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
            _ => {
                let scalar = scalar(kind, cursor)?;
                self.scalar(kind, &scalar, interner, out)
            }
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
        let kinds = match kind {
            ValueKind::Key(id) => self.keys.parts[id.index()].as_slice(),
            kind => std::slice::from_ref(kind),
        };
        match kinds {
            [kind] => {
                let kind = kind.clone();
                let scalar = scalar_of_text(&kind, name)?;
                self.scalar(&kind, &scalar, interner, out)
            }
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
        let parts = &self.keys.parts[id.index()];
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
            if let Scalar::Bytes(bytes) = &part {
                append(out, &(bytes.len() as u32).to_le_bytes())?;
            }
            append(out, part.bytes())
        })?;
        if count == parts.len() {
            return Ok(());
        }
        Err(Problem::WrongType { found: format!("an array of {count}"), expected: expected(), remedy }.into())
    }
}

/// A value that isn't a component; an enum is its name, as in keys.
enum Scalar<'a> {
    Image([u8; 8]),
    Half([u8; 4]),
    Bytes(Cow<'a, [u8]>),
}

impl Scalar<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Scalar::Image(bytes) => bytes,
            Scalar::Half(bytes) => bytes,
            Scalar::Bytes(bytes) => bytes,
        }
    }
}

fn scalar<'a>(kind: &ValueKind, cursor: &mut Cursor<'a>) -> Result<Scalar<'a>, Problem> {
    match (kind, cursor.peek()?) {
        (ValueKind::Bool, Token::Bool) => Ok(Scalar::Image(u64::from(cursor.bool()?).to_le_bytes())),
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

/// A map's key as it stands in JSON, where names are text.
fn scalar_of_text<'a>(kind: &ValueKind, name: &'a str) -> Result<Scalar<'a>, Problem> {
    match kind {
        ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) | ValueKind::F32 | ValueKind::F64 => {
            let mut cursor = Cursor::new(name);
            let read = match cursor.peek() {
                Ok(Token::Bool | Token::Number) => scalar(kind, &mut cursor),
                _ => float_of_text(kind, name),
            };
            match (read, cursor.end()) {
                (Ok(Scalar::Half(bytes)), _) if matches!(name, "NaN" | "Infinity" | "-Infinity") => {
                    Ok(Scalar::Half(bytes))
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

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn number(kind: &ValueKind, text: &str) -> Result<Scalar<'static>, Problem> {
    match kind {
        ValueKind::F32 | ValueKind::F64 => float(kind, text),
        _ if !is_whole(text) => Err(wrong_type(kind, format!("the number {}", shortened(text)))),
        ValueKind::Int(bytes) => {
            let (min, max) = signed_range(*bytes);
            let number = text.parse().ok().filter(|number: &i64| (min..=max).contains(number));
            let number = number.ok_or_else(|| out_of_range(named(kind).0, text, min, max))?;
            Ok(Scalar::Image(number.to_le_bytes()))
        }
        ValueKind::UInt(bytes) => {
            let max = unsigned_max(*bytes);
            // "-0" is a number that JSON has, and u64 does not parse.
            let text = if text == "-0" { "0" } else { text };
            let number = text.parse().ok().filter(|number: &u64| *number <= max);
            let number = number.ok_or_else(|| out_of_range(named(kind).0, text, 0_u64, max))?;
            Ok(Scalar::Image(number.to_le_bytes()))
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
            number => Ok(Scalar::Half(number.to_le_bytes())),
        };
    }
    let number: f64 = text.parse().expect("JSON numbers are Rust's");
    match number {
        number if number.is_infinite() => Err(out_of_range(named(kind).0, text, f64::MIN, f64::MAX)),
        _ if is_whole(text) && !is_exact_f64(text) => Err(not_exact("f64")),
        number => Ok(Scalar::Image(number.to_le_bytes())),
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
        ValueKind::F32 => Ok(Scalar::Half((number as f32).to_le_bytes())),
        ValueKind::F64 => Ok(Scalar::Image(number.to_le_bytes())),
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

/// Elements or entries on their way into order.
#[derive(Default)]
pub(super) struct Sorter {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    key_end: usize,
    end: usize,
}

impl Sorter {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn key(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) -> Result<(), Fault> {
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        let end = self.bytes.len();
        self.spans.push(Span { start, key_end: end, end });
        Ok(())
    }

    /// The value for the key before it.
    pub(super) fn value(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) -> Result<(), Fault> {
        write(&mut self.bytes)?;
        let end = self.bytes.len();
        self.spans.last_mut().expect("a key was written").end = end;
        Ok(())
    }

    /// Sorts by key, and keeps the first of equals; says whether none was there twice.
    pub(super) fn sort(&mut self, order: Order) -> bool {
        let Sorter { bytes, spans } = self;
        let key = |span: &Span| &bytes[span.start..span.key_end];
        let before = spans.len();
        spans.sort_by(|left, right| order(key(left), key(right)));
        spans.dedup_by(|later, first| order(key(later), key(first)).is_eq());
        spans.len() == before
    }

    pub(super) fn write(&self, framed_key: bool, framed_value: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.spans.len() as u32).to_le_bytes());
        for span in &self.spans {
            write_part(&self.bytes[span.start..span.key_end], framed_key, out);
            write_part(&self.bytes[span.key_end..span.end], framed_value, out);
        }
    }
}

fn write_part(bytes: &[u8], framed: bool, out: &mut Vec<u8>) {
    if framed {
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(bytes);
}
