//! Typed readers through serde: what the program declares of a record, under the dataset's names.
//!
//! Values are written as those of [`NamedRecord`](crate::view::NamedRecord) are. A field that a record lacks is null, also
//! where the reader gives a default.

use serde::ser::{Serialize, Serializer};

use crate::view::{NamedRecord, NamedValue};

use super::bind::ValueBinding;
use super::{RecordAt, Scope};

impl Serialize for RecordAt<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (binding, scope) = (self.binding(), self.scope());
        let named = binding.chain.and_then(|id| NamedRecord::new(&scope.view.state, id, self.ordinal()));
        serializer.collect_map(binding.fields.iter().map(|field| {
            let value = named.zip(field.column.as_ref());
            let value = value.map_or(NamedValue::Absent, |(named, (index, _))| named.value(*index));
            (field.name.as_str(), Declared { value, bindings: &field.values, at: 0, scope })
        }))
    }
}

/// A value of a declared field, or within one.
struct Declared<'v> {
    value: NamedValue<'v>,
    bindings: &'v [ValueBinding; 2],
    /// Which of the two the value has: a map's values have the second.
    at: usize,
    scope: Scope<'v>,
}

impl Serialize for Declared<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let within = |value, at| Declared { value, at, ..*self };
        match self.value {
            NamedValue::Record(record) => {
                let ordinal = u64::from(record.ordinal().0);
                self.scope.component(&self.bindings[self.at], ordinal).serialize(serializer)
            }
            NamedValue::List(list) | NamedValue::Set(list) => {
                serializer.collect_seq(list.iter().map(|value| within(value, 0)))
            }
            NamedValue::Map(map) => serializer.collect_map(map.iter().map(|(key, value)| (key, within(value, 1)))),
            value => value.serialize(serializer),
        }
    }
}
