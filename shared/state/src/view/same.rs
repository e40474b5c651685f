//! Whether two records are equal, though they are of different versions.
//!
//! Ordinals do not show it: a component's may have been freed and given to another between the two. So components are
//! compared by what they hold; floats by their bits; fields by name, since the schemas may differ.
//!
//! Components are shared, so a few of them, each with two references to the next, make more paths than can be compared;
//! where there are many, each two components are compared once.

use std::collections::BTreeMap;

use crate::ids::{Ordinal, TypeId};

use super::{NamedList, NamedRecord, NamedValue};

pub(super) fn same_record(left: NamedRecord<'_>, right: NamedRecord<'_>) -> bool {
    Comparison::default().same_record(left, right)
}

/// A segment that both states hold has not changed between them, nor have the components that its rows hold.
fn shares_segment(left: NamedRecord<'_>, right: NamedRecord<'_>) -> bool {
    let (left_table, right_table) = (left.state.table(left.id), right.state.table(right.id));
    if left_table.layout() != right_table.layout() {
        return false;
    }
    left_table.segment_of(left.ordinal).is_some_and(|(first, segment)| right_table.has(first, segment))
}

/// A comparison of two records.
#[derive(Default)]
struct Comparison {
    count: usize,
    /// Which components are the same, once there are many.
    known: BTreeMap<(TypeId, Ordinal, Ordinal), bool>,
}

impl Comparison {
    /// Records that are compared without noting which.
    const FEW: usize = 256;

    fn same_record(&mut self, left: NamedRecord<'_>, right: NamedRecord<'_>) -> bool {
        if left.ordinal == right.ordinal && shares_segment(left, right) {
            return true;
        }
        self.count += 1;
        let both = (left.id, left.ordinal, right.ordinal);
        if let Some(same) = self.known.get(&both) {
            return *same;
        }
        let known = left.schema();
        let same = left.fields().all(|(name, value)| self.same(value, right.get(name).unwrap_or(NamedValue::Absent)))
            && right.fields().all(|(name, value)| known.field(name).is_some() || matches!(value, NamedValue::Absent));
        if self.count > Comparison::FEW {
            self.known.insert(both, same);
        }
        same
    }

    fn same(&mut self, left: NamedValue<'_>, right: NamedValue<'_>) -> bool {
        use NamedValue::{
            Absent, Bool, Bytes, F32, F64, Int, Key, List, Map, Packed, Record, Set, Text, UInt, Variant,
        };
        match (left, right) {
            (Absent, Absent) => true,
            (Bool(left), Bool(right)) => left == right,
            (Int(left), Int(right)) => left == right,
            (UInt(left), UInt(right)) => left == right,
            // Widened in between.
            (Int(signed), UInt(unsigned)) | (UInt(unsigned), Int(signed)) => i128::from(signed) == i128::from(unsigned),
            (F32(left), F32(right)) => left.to_bits() == right.to_bits(),
            (F64(left), F64(right)) => left.to_bits() == right.to_bits(),
            (Text(left), Text(right)) | (Variant(left), Variant(right)) => left == right,
            (Packed(left), Packed(right)) => left == right,
            // Packed in between.
            (Text(plain), Packed(packed)) | (Packed(packed), Text(plain)) => packed == plain,
            (Bytes(left), Bytes(right)) => left == right,
            (Key(left), Key(right)) => left.canonical() == right.canonical(),
            (Record(left), Record(right)) => self.same_record(left, right),
            (List(left), List(right)) => self.same_list(left, right),
            (Set(left), Set(right)) => self.same_set(left, right),
            (Map(left), Map(right)) => {
                let pairs = left.iter().zip(right.iter());
                left.len() == right.len()
                    && pairs.into_iter().all(|(left, right)| self.same(left.0, right.0) && self.same(left.1, right.1))
            }
            _ => false,
        }
    }

    fn same_list(&mut self, left: NamedList<'_>, right: NamedList<'_>) -> bool {
        left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| self.same(left, right))
    }

    /// Sets of components are sorted by ordinal, so the same set may have another order.
    fn same_set(&mut self, left: NamedList<'_>, right: NamedList<'_>) -> bool {
        self.same_list(left, right)
            || (left.len() == right.len() && left.iter().all(|left| right.iter().any(|right| self.same(left, right))))
    }
}
