//! The arrangement of a type's columns in its segments; derived from the schema, the same on both sides.
//!
//! A row is cut into *slots*, whole-byte numbers in the fixed part, and *regions* of the segment's two heaps. A region is
//! one column's: its values follow each other, row by row, so that short texts are dense, apart from long ones, and
//! where one row's value ends the next row's starts. A list of numbers is a region of equal elements; their width and
//! base are the segment's, kept in a separate slot (a *lane*) that no row has. Strings in a list are a region of
//! text and a region of ends.
//!
//! | a field holds | slots of a row | lanes |
//! | --- | --- | --- |
//! | one number, float, enum, reference | its scalar | |
//! | one string; one byte field | start in the text heap; start in the byte heap | |
//! | one packed string | start in the byte heap, number of its symbol table | |
//! | list or set of numbers | start in the byte heap | elements |
//! | list or set of strings | start in the byte heap, start in the text heap | ends |
//! | list or set of byte fields | start in the byte heap, start in the byte heap | ends |
//! | map | those of a list of its keys, then those of a list of its values | both |
//! | any of these, sparse | and a bit in one of the presence slots | |

use crate::ids::{ColumnId, TypeId};
use crate::schema::{Field, KeyError, KeyForm, Schema, Shape, ValueKind};

/// The layout of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The type.
    pub type_id: TypeId,
    /// In the order of the schema's fields.
    pub columns: Vec<Column>,
    /// Slots that each row has; lanes are numbered after them.
    pub row_slots: usize,
    /// Slots and lanes together.
    pub all_slots: usize,
    /// The slots whose numbers are signed, by slot and lane.
    pub signed: Vec<bool>,
    /// The regions of the text heap, in order, by their slots.
    pub(crate) text_regions: Vec<usize>,
    /// The regions of the byte heap, in order, by their slots; with the lane where they hold numbers.
    pub(crate) byte_regions: Vec<(usize, Option<usize>)>,
}

/// One column's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its number.
    pub id: ColumnId,
    /// The slot and bit that say whether a row has a value; none where every row has.
    pub presence: Option<Presence>,
    /// The form of its values.
    pub form: Form,
}

/// A bit in a presence slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The slot.
    pub slot: usize,
    /// 0 to 7.
    pub bit: u32,
}

/// The form of a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A number in a slot.
    Scalar {
        /// The slot.
        slot: usize,
        /// What the number is.
        kind: ScalarKind,
    },
    /// A region of text.
    Text(Region),
    /// A region of bytes.
    Bytes(Region),
    /// A region of bytes that are packed text: see [`packed`](crate::packed).
    Packed {
        /// Their region of the byte heap.
        region: Region,
        /// The slot with the number of their symbol table.
        table: usize,
    },
    /// A list or a set.
    Many(Many),
    /// A map: as many keys as values.
    Map(Many, Many),
}

impl Form {
    /// Its slots and lanes, in the same order in every layout that has the column.
    #[must_use]
    pub fn slots(&self) -> Vec<usize> {
        let of_many = |many: &Many| match many {
            Many::Scalars { region, lane, .. } => vec![region.slot, *lane],
            Many::Texts { ends, lane, content } | Many::Blobs { ends, lane, content } => {
                vec![ends.slot, *lane, content.slot]
            }
        };
        match self {
            Form::Scalar { slot, .. } => vec![*slot],
            Form::Text(region) | Form::Bytes(region) => vec![region.slot],
            Form::Packed { region, table } => vec![region.slot, *table],
            Form::Many(many) => of_many(many),
            Form::Map(keys, values) => [of_many(keys), of_many(values)].concat(),
        }
    }

    /// Whether one of its regions has this slot.
    #[must_use]
    pub(crate) fn has_region(&self, slot: usize) -> bool {
        let of_many = |many: &Many| match many {
            Many::Scalars { region, .. } => region.slot == slot,
            Many::Texts { ends, content, .. } | Many::Blobs { ends, content, .. } => {
                ends.slot == slot || content.slot == slot
            }
        };
        match self {
            Form::Scalar { .. } => false,
            Form::Text(region) | Form::Bytes(region) | Form::Packed { region, .. } => region.slot == slot,
            Form::Many(many) => of_many(many),
            Form::Map(keys, values) => of_many(keys) || of_many(values),
        }
    }
}

/// What a number means; decides its canonical bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarKind {
    /// An integer, bool or scalar-formed key: 8 canonical bytes.
    Number,
    /// An enum of so many variants: 8 canonical bytes.
    Variant(u32),
    /// 4 canonical bytes.
    F32,
    /// 8 canonical bytes.
    F64,
    /// The ordinal of a record of this component type: 4 canonical bytes.
    Component(TypeId),
}

/// A column's part of a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The slot with where a row's value starts; it ends where the next row's does.
    pub slot: usize,
    /// The region's place among those of its heap.
    pub number: usize,
}

/// Several values of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Many {
    /// Numbers of the lane's width.
    Scalars {
        /// Their region of the byte heap.
        region: Region,
        /// Their width and base.
        lane: usize,
        /// What they are.
        kind: ScalarKind,
    },
    /// Strings.
    Texts {
        /// Their ends, relative to the start of `content`; in the byte heap.
        ends: Region,
        /// The ends' width and base.
        lane: usize,
        /// The text itself, in the text heap.
        content: Region,
    },
    /// Byte strings.
    Blobs {
        /// Their ends, relative to the start of `content`; in the byte heap.
        ends: Region,
        /// The ends' width and base.
        lane: usize,
        /// The bytes themselves, in the byte heap.
        content: Region,
    },
}

/// The form of a single value, in a field or as an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueForm {
    /// As a number.
    Scalar(ScalarKind),
    /// As text.
    Text,
    /// As bytes.
    Bytes,
}

impl ScalarKind {
    /// Canonical bytes of one such value.
    #[must_use]
    pub(crate) fn canonical_bytes(self) -> usize {
        match self {
            ScalarKind::F32 | ScalarKind::Component(_) => 4,
            ScalarKind::Number | ScalarKind::Variant(_) | ScalarKind::F64 => 8,
        }
    }
}

impl Schema {
    /// The form of one value of this kind.
    #[doc(hidden)]
    pub fn value_form(&self, kind: &ValueKind) -> Result<ValueForm, KeyError> {
        Ok(match kind {
            ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) => ValueForm::Scalar(ScalarKind::Number),
            ValueKind::Enum(names) => ValueForm::Scalar(ScalarKind::Variant(names.len() as u32)),
            ValueKind::F32 => ValueForm::Scalar(ScalarKind::F32),
            ValueKind::F64 => ValueForm::Scalar(ScalarKind::F64),
            ValueKind::Component(id) | ValueKind::Dedup(id) => ValueForm::Scalar(ScalarKind::Component(*id)),
            ValueKind::String => ValueForm::Text,
            ValueKind::Bytes => ValueForm::Bytes,
            ValueKind::Key(id) => match self.key_form(*id)? {
                KeyForm::Scalar => ValueForm::Scalar(ScalarKind::Number),
                KeyForm::Text => ValueForm::Text,
                KeyForm::Bytes | KeyForm::Composite(_) => ValueForm::Bytes,
            },
        })
    }
}

impl Layout {
    /// The layout of a type of this schema. Fails only where a referenced root has no sound key.
    pub fn new(schema: &Schema, type_id: TypeId) -> Result<Layout, KeyError> {
        let all: Vec<usize> = (0..schema.get(type_id).fields.len()).collect();
        Layout::of_fields(schema, type_id, &all)
    }

    /// The layout of some fields of a type, as a patch brings them.
    pub fn of_fields(schema: &Schema, type_id: TypeId, fields: &[usize]) -> Result<Layout, KeyError> {
        let mut maker = Maker {
            layout: Layout {
                type_id,
                columns: Vec::new(),
                row_slots: 0,
                all_slots: 0,
                signed: Vec::new(),
                text_regions: Vec::new(),
                byte_regions: Vec::new(),
            },
            lanes: Vec::new(),
            presence: None,
        };
        for field in fields {
            let column = maker.column(schema, &schema.get(type_id).fields[*field])?;
            maker.layout.columns.push(column);
        }
        Ok(maker.finish())
    }
}

/// Lanes get their numbers last, when the row's slots are counted; until then they count from here.
const LANE: usize = 1 << 32;

struct Maker {
    layout: Layout,
    lanes: Vec<bool>,
    presence: Option<Presence>,
}

impl Maker {
    fn column(&mut self, schema: &Schema, field: &Field) -> Result<Column, KeyError> {
        let presence = field.sparse.then(|| self.presence_bit());
        let signed = |kind: &ValueKind| matches!(kind, ValueKind::Int(_));
        let form = match &field.shape {
            Shape::One(_) if field.is_packed() => {
                Form::Packed { region: self.byte_region(None), table: self.slot(false) }
            }
            Shape::One(kind) => match schema.value_form(kind)? {
                ValueForm::Scalar(scalar) => Form::Scalar { slot: self.slot(signed(kind)), kind: scalar },
                ValueForm::Text => Form::Text(self.text_region()),
                ValueForm::Bytes => Form::Bytes(self.byte_region(None)),
            },
            Shape::List(kind) | Shape::Set(kind) => Form::Many(self.many(schema.value_form(kind)?, signed(kind))),
            Shape::Map(key, value) => {
                let keys = self.many(schema.value_form(key)?, signed(key));
                Form::Map(keys, self.many(schema.value_form(value)?, signed(value)))
            }
        };
        Ok(Column { id: field.column, presence, form })
    }

    fn many(&mut self, form: ValueForm, signed: bool) -> Many {
        let lane = self.lane(signed && matches!(form, ValueForm::Scalar(_)));
        let region = self.byte_region(Some(lane));
        match form {
            ValueForm::Scalar(kind) => Many::Scalars { region, lane, kind },
            ValueForm::Text => Many::Texts { ends: region, lane, content: self.text_region() },
            ValueForm::Bytes => Many::Blobs { ends: region, lane, content: self.byte_region(None) },
        }
    }

    fn slot(&mut self, signed: bool) -> usize {
        self.layout.signed.push(signed);
        self.layout.signed.len() - 1
    }

    fn lane(&mut self, signed: bool) -> usize {
        self.lanes.push(signed);
        LANE + self.lanes.len() - 1
    }

    fn presence_bit(&mut self) -> Presence {
        let next = match self.presence {
            Some(Presence { slot, bit }) if bit < 7 => Presence { slot, bit: bit + 1 },
            _ => Presence { slot: self.slot(false), bit: 0 },
        };
        self.presence = Some(next);
        next
    }

    fn text_region(&mut self) -> Region {
        let region = Region { slot: self.slot(false), number: self.layout.text_regions.len() };
        self.layout.text_regions.push(region.slot);
        region
    }

    /// `lane` is that of the region's elements, if it holds numbers.
    fn byte_region(&mut self, lane: Option<usize>) -> Region {
        let region = Region { slot: self.slot(false), number: self.layout.byte_regions.len() };
        self.layout.byte_regions.push((region.slot, lane));
        region
    }

    fn finish(mut self) -> Layout {
        let slots = self.layout.signed.len();
        let place = |many: &mut Many| match many {
            Many::Scalars { lane, .. } | Many::Texts { lane, .. } | Many::Blobs { lane, .. } => {
                *lane = *lane - LANE + slots;
            }
        };
        self.layout
            .byte_regions
            .iter_mut()
            .filter_map(|(_, lane)| lane.as_mut())
            .for_each(|lane| *lane = *lane - LANE + slots);
        for column in &mut self.layout.columns {
            match &mut column.form {
                Form::Many(many) => place(many),
                Form::Map(keys, values) => {
                    place(keys);
                    place(values);
                }
                Form::Scalar { .. } | Form::Text(_) | Form::Bytes(_) | Form::Packed { .. } => {}
            }
        }
        self.layout.signed.append(&mut self.lanes);
        self.layout.row_slots = slots;
        self.layout.all_slots = self.layout.signed.len();
        self.layout
    }
}
