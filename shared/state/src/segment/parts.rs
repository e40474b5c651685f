//! Parts: a segment's columns apart, as a snapshot stores them, and some of them, as a reader holds them.
//!
//! A part is a segment of some columns of a type, in bytes of the same form as any other. A [`PartMap`] says where each
//! slot of one layout is in others that have its columns: from a segment to one of its parts when it is written, from parts
//! to the segment that is held when it is read.

use crate::layout::{Column, Layout, Presence};

/// Where each slot and lane of a layout is in the layouts of parts.
#[derive(Clone, Debug)]
pub struct PartMap {
    /// By slot and lane of the layout.
    pub(super) places: Vec<Place>,
}

/// Where one slot's numbers are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In one slot or lane of a part.
    Slot(PartSlot),
    /// Presence bits that are together here and apart there.
    Bits(Vec<PartBit>),
}

/// A slot or lane of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartSlot {
    pub(super) part: usize,
    pub(super) slot: usize,
}

/// A presence bit, and where it is in a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartBit {
    pub(super) bit: u32,
    pub(super) part: usize,
    pub(super) from: Presence,
}

impl PartMap {
    /// Finds the columns of `layout` in `parts`. None if one is missing, or has another form there.
    #[must_use]
    pub fn new(layout: &Layout, parts: &[&Layout]) -> Option<PartMap> {
        let mut places: Vec<Place> = (0..layout.all_slots).map(|_| Place::Bits(Vec::new())).collect();
        for column in &layout.columns {
            let (part, found) = find(column, parts)?;
            let (own, theirs) = (column.form.slots(), found.form.slots());
            if std::mem::discriminant(&column.form) != std::mem::discriminant(&found.form) || own.len() != theirs.len()
            {
                return None;
            }
            for (own, slot) in own.into_iter().zip(theirs) {
                *places.get_mut(own)? = Place::Slot(PartSlot { part, slot });
            }
            match (column.presence, found.presence) {
                (None, None) => {}
                (Some(Presence { slot, bit }), Some(from)) => match places.get_mut(slot)? {
                    Place::Bits(bits) => bits.push(PartBit { bit, part, from }),
                    Place::Slot(_) => return None,
                },
                _ => return None,
            }
        }
        places.iter_mut().for_each(|place| place.simplify(parts));
        Some(PartMap { places })
    }
}

fn find<'p>(column: &Column, parts: &[&'p Layout]) -> Option<(usize, &'p Column)> {
    let mut of_parts = parts.iter().enumerate();
    of_parts.find_map(|(part, layout)| Some((part, layout.columns.iter().find(|found| found.id == column.id)?)))
}

impl Place {
    /// Bits that are together in the part, too, are a slot like another.
    fn simplify(&mut self, parts: &[&Layout]) {
        let Place::Bits(bits) = self else { return };
        let Some(PartBit { part, from: Presence { slot, .. }, .. }) = bits.first().copied() else { return };
        let all = parts.get(part).map_or(0, |part| {
            part.columns.iter().filter(|column| column.presence.is_some_and(|there| there.slot == slot)).count()
        });
        let same = |bit: &PartBit| bit.part == part && bit.from == Presence { slot, bit: bit.bit };
        if all == bits.len() && bits.iter().all(same) {
            *self = Place::Slot(PartSlot { part, slot });
        }
    }
}
