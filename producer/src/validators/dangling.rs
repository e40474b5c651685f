//! The validator against keys that lead to no record.

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::keys::KeyRef;
use cenote_state::schema::{KeyForm, Schema, Shape, ValueKind};
use cenote_state::segment::{Cell, Elements};
use cenote_state::state::State;
use cenote_state::table::Table;
use cenote_state::view::View;

use super::{Validator, any_removed, old_table, suspects};
use crate::BoxError;

/// Keys that are named in the error.
const NAMED: usize = 10;

/// Refuses a version in which a `Key<T>` leads to a record that is not there.
///
/// Looks at what the version brings: records that are new or changed, and, if records were deleted that keys may lead
/// to, all records that hold such keys. What dangled before and is left alone passes.
#[derive(Clone, Debug, Default)]
pub struct DanglingKeys;

/// A field that holds keys.
struct KeyField {
    owner: TypeId,
    field: usize,
    target: TypeId,
    form: KeyForm,
}

impl Validator for DanglingKeys {
    fn name(&self) -> String {
        "DanglingKeys".to_owned()
    }

    fn validate(&self, old: &View, new: &View) -> Result<(), BoxError> {
        let (old, new) = (old.state(), new.state());
        let mut count = 0;
        let mut first = Vec::new();
        for of_keys in key_fields(new.schema()) {
            of_keys.dangling(old, new, &mut |ordinal| {
                count += 1;
                if first.len() < NAMED {
                    first.push(of_keys.describe(new, ordinal));
                }
            });
        }
        if count == 0 {
            return Ok(());
        }
        Err(format!("{count} keys lead to no record, the first: {}", first.join("; ")).into())
    }
}

fn key_fields(schema: &Schema) -> Vec<KeyField> {
    let mut found = Vec::new();
    for (owner, of_type) in schema.iter() {
        for (field, declared) in of_type.fields.iter().enumerate() {
            for kind in declared.shape.kinds() {
                let ValueKind::Key(target) = kind else { continue };
                if let Ok(form) = schema.key_form(*target) {
                    found.push(KeyField { owner, field, target: *target, form });
                }
            }
        }
    }
    found
}

impl KeyField {
    fn dangling(&self, old: &State, new: &State, report: &mut impl FnMut(Ordinal)) {
        let table = new.table(self.owner);
        let must_see_all = match old_table(old, self.target) {
            Some(target) => any_removed(target, new.table(self.target)),
            None => false,
        };
        let check = |ordinal: u32| self.check(table, new, Ordinal(ordinal), report);
        match old_table(old, self.owner) {
            Some(before) if !must_see_all => {
                suspects(table, before).for_each(check);
            }
            _ => table.live().iter().for_each(check),
        }
    }

    fn check(&self, table: &Table, new: &State, ordinal: Ordinal, report: &mut impl FnMut(Ordinal)) {
        let row = table.row(ordinal).expect("a live ordinal has a row");
        let cell = row.cell(self.field);
        if !cell.is_present() {
            return;
        }
        let target = new.table(self.target);
        let mut look = |key: KeyRef<'_>| {
            if target.find(key, new.tables()).is_none() {
                report(ordinal);
            }
        };
        match &new.schema().get(self.owner).fields[self.field].shape {
            Shape::One(_) => self.one(cell, &mut look),
            Shape::List(_) | Shape::Set(_) => self.many(&cell.elements(), &mut look),
            Shape::Map(key, value) => {
                let (keys, values) = cell.entries();
                if *key == ValueKind::Key(self.target) {
                    self.many(&keys, &mut look);
                }
                if *value == ValueKind::Key(self.target) {
                    self.many(&values, &mut look);
                }
            }
        }
    }

    fn one(&self, cell: Cell<'_>, look: &mut impl FnMut(KeyRef<'_>)) {
        match self.form {
            KeyForm::Scalar => look(KeyRef::Scalar(cell.scalar())),
            KeyForm::Text => look(KeyRef::Bytes(cell.text().as_bytes())),
            KeyForm::Bytes | KeyForm::Composite(_) => look(KeyRef::Bytes(cell.bytes())),
        }
    }

    fn many(&self, elements: &Elements<'_>, look: &mut impl FnMut(KeyRef<'_>)) {
        for index in 0..elements.len() {
            match self.form {
                KeyForm::Scalar => look(KeyRef::Scalar(elements.scalar(index))),
                KeyForm::Text => look(KeyRef::Bytes(elements.text(index).as_bytes())),
                KeyForm::Bytes | KeyForm::Composite(_) => look(KeyRef::Bytes(elements.bytes(index))),
            }
        }
    }

    fn describe(&self, state: &State, ordinal: Ordinal) -> String {
        let of_type = state.schema().get(self.owner);
        let target = &state.schema().get(self.target).name;
        format!("{}.{} of ordinal {ordinal} to {target}", of_type.name, of_type.fields[self.field].name)
    }
}
