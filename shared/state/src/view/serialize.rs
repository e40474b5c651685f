//! Named values through serde.
//!
//! What JSON can't say: a float that is not finite is the text `NaN`, `Infinity` or `-Infinity` (null would mean
//! `None`); bytes are hexadecimal text; a key of several parts is an array; an enum is its variant's name; a map is an
//! object, and its keys are texts.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::shown::{Shown, alone};
use super::{NamedKey, NamedList, NamedMap, NamedRecord, NamedValue};

macro_rules! serialize_alone {
    ($($name:ident),*) => { $(
        /// What is within other components is shown to a depth and up to a number of values: a text that begins with `…`
        /// says where it ends.
        impl Serialize for $name<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                alone(*self, |shown| shown.serialize(serializer))
            }
        }
    )* };
}
serialize_alone!(NamedRecord, NamedValue, NamedList, NamedMap);

impl Serialize for Shown<'_, NamedValue<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            NamedValue::Absent => serializer.serialize_none(),
            NamedValue::Bool(value) => serializer.serialize_bool(value),
            NamedValue::Int(value) => serializer.serialize_i64(value),
            NamedValue::UInt(value) => serializer.serialize_u64(value),
            NamedValue::F32(value) if value.is_finite() => serializer.serialize_f32(value),
            NamedValue::F32(value) => serializer.serialize_str(infinite(f64::from(value))),
            NamedValue::F64(value) if value.is_finite() => serializer.serialize_f64(value),
            NamedValue::F64(value) => serializer.serialize_str(infinite(value)),
            NamedValue::Text(text) | NamedValue::Variant(text) => serializer.serialize_str(text),
            NamedValue::Packed(text) => text.serialize(serializer),
            NamedValue::Bytes(bytes) => serializer.collect_str(&Hex(bytes)),
            NamedValue::Key(key) => key.serialize(serializer),
            NamedValue::Record(record) => match self.component(record) {
                Ok(record) => record.serialize(serializer),
                Err(cut) => serializer.collect_str(&cut),
            },
            NamedValue::List(list) | NamedValue::Set(list) => self.with(list).serialize(serializer),
            NamedValue::Map(map) => self.with(map).serialize(serializer),
        }
    }
}

impl Serialize for Shown<'_, NamedRecord<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields())
    }
}

impl Serialize for Shown<'_, NamedList<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_seq(None)?;
        if let Some(cut) = self.each(|value| out.serialize_element(&value))? {
            out.serialize_element(&format_args!("{cut}"))?;
        }
        out.end()
    }
}

impl Serialize for Shown<'_, NamedMap<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        if let Some(cut) = self.each(|key, value| out.serialize_entry(&key, &value))? {
            out.serialize_entry("…", &format_args!("{cut}"))?;
        }
        out.end()
    }
}

fn infinite(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for NamedKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.parts().as_slice() {
            [part] => part.serialize(serializer),
            parts => serializer.collect_seq(parts),
        }
    }
}
