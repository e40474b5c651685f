//! The validator against keys that lead to no record.

use cenote_state::ids::{Ordinal, TypeId};
use cenote_state::keys::{KeyPlan, KeyRef};
use cenote_state::schema::{KeyForm, Schema, Shape, ValueKind};
use cenote_state::segment::{Cell, Elements};
use cenote_state::state::State;
use cenote_state::table::Table;
use cenote_state::view::View;

use super::{Validator, any_removed, old_table, suspects};
use crate::BoxError;
use crate::plan::Plans;

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
        let plans = Plans::new(new.schema())?;
        for of_keys in key_fields(new.schema()) {
            of_keys.dangling(old, new, &mut |ordinal, key| {
                count += 1;
                if first.len() < NAMED {
                    first.push(of_keys.describe(new, &plans, ordinal, key));
                }
            });
        }
        match count {
            0 => Ok(()),
            1 => Err(format!("a key leads to no record: {}", first.join("; ")).into()),
            _ => Err(format!("{count} keys lead to no record, the first: {}", first.join("; ")).into()),
        }
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
    fn dangling(&self, old: &State, new: &State, report: &mut impl FnMut(Ordinal, KeyRef<'_>)) {
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

    fn check(&self, table: &Table, new: &State, ordinal: Ordinal, report: &mut impl FnMut(Ordinal, KeyRef<'_>)) {
        let row = table.row(ordinal).expect("a live ordinal has a row");
        let cell = row.cell(self.field);
        if !cell.is_present() {
            return;
        }
        let target = new.table(self.target);
        let mut look = |key: KeyRef<'_>| {
            if target.find(key, new.tables()).is_none() {
                report(ordinal, key);
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

    /// Both keys: that of the root record which holds the dangling one, and the dangling one.
    fn describe(&self, state: &State, plans: &Plans, ordinal: Ordinal, key: KeyRef<'_>) -> String {
        let schema = state.schema();
        let (of_type, target) = (schema.get(self.owner), schema.get(self.target));
        let field = &of_type.fields[self.field].name;
        let missing = shown_key(state, self.target, |plan| plan.display(key));
        let holder = match holder(state, plans, self.owner, ordinal) {
            Some((root, ordinal)) => {
                let row = state.table(root).row(ordinal).expect("a live ordinal has a row");
                let shown = shown_key(state, root, |plan| plan.with_key(row, state.tables(), |key| plan.display(key)));
                format!("{} {shown}", schema.get(root).name)
            }
            None => format!("a {}", of_type.name),
        };
        let field = if of_type.is_root() { field.clone() } else { format!("{}.{field}", of_type.name) };
        format!("{holder}, {field}: there is no {} {missing}", target.name)
    }
}

fn shown_key(state: &State, root: TypeId, show: impl FnOnce(&KeyPlan) -> String) -> String {
    state.table(root).key_plan().map_or_else(String::new, |plan| show(plan))
}

/// A root record that holds this record, or is it. Looks through whole tables: only for messages.
fn holder(state: &State, plans: &Plans, id: TypeId, ordinal: Ordinal) -> Option<(TypeId, Ordinal)> {
    if state.schema().get(id).is_root() {
        return Some((id, ordinal));
    }
    state.schema().iter().find_map(|(parent, of_type)| {
        let mut kinds = of_type.fields.iter().flat_map(|field| field.shape.kinds());
        if !kinds.any(|kind| kind.component() == Some(id)) {
            return None;
        }
        let table = state.table(parent);
        let holds = |parent_ordinal: &u32| {
            let mut found = false;
            if let Some(row) = table.row(Ordinal(*parent_ordinal)) {
                plans.of(parent).stored_references(row, |of, at| found |= (of, at) == (id, ordinal.0));
            }
            found
        };
        // Components nest as deep as types do, and no type contains itself.
        table.live().iter().filter(holds).find_map(|at| holder(state, plans, parent, Ordinal(at)))
    })
}
