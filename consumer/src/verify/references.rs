//! References: each leads to a live component, and each component is referred to. Keys may lead to no record.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::ids::{Ordinal, Timestamp, TypeId};
use cenote_state::record::{Binding, Registry};
use cenote_state::schema::{Field, Shape, ValueKind};
use cenote_state::segment::{Elements, RowAt};
use cenote_state::state::State;
use cenote_state::view::{NamedTable, NamedValue, View};

use super::state::no_row;

/// Counts the references to each type's records.
///
/// # Errors
/// A reference that leads to no live component, or a component without a reference.
pub(super) fn count_references(state: &State) -> Result<Vec<u64>, String> {
    let schema = state.schema();
    let mut counts: Vec<Vec<u32>> =
        state.tables().iter().map(|table| vec![0; table.ordinal_ceiling() as usize]).collect();
    let mut totals = vec![0; counts.len()];
    for (table, of_type) in state.tables().iter().zip(&schema.types) {
        for ordinal in table.ordinals() {
            let row = table.row(ordinal).ok_or_else(|| no_row(&of_type.name, ordinal))?;
            visit_references(&of_type.fields, row, &mut |field, id: TypeId, target| {
                if !state.table(id).is_live(target) {
                    let (name, target_name) = (&of_type.name, &schema.get(id).name);
                    return Err(format!(
                        "record {ordinal} of {name} refers by {field} to {target_name} {target}, which does not exist"
                    ));
                }
                let count = &mut counts[id.index()][target.index()];
                *count = count.saturating_add(1);
                totals[id.index()] += 1;
                Ok(())
            })?;
        }
    }
    for ((table, of_type), counts) in state.tables().iter().zip(&schema.types).zip(&counts) {
        if of_type.is_root() {
            continue;
        }
        if let Some(orphan) = table.ordinals().find(|ordinal| counts[ordinal.index()] == 0) {
            return Err(format!("record {orphan} of component {} has no record that refers to it", of_type.name));
        }
    }
    Ok(totals)
}

/// Counts the keys that lead to no record, by the type that holds them.
pub(super) fn count_dangling_keys(state: &State) -> BTreeMap<String, u64> {
    let nothing = Registry::new().finish().expect("an empty declaration is valid");
    let binding = Binding::new(&nothing, state.schema()).expect("an empty declaration fits every schema");
    let view = View::new(state.clone(), Arc::new(binding), Timestamp(0));
    let holds_keys = |table: &NamedTable<'_>| {
        let mut kinds = table.schema().fields.iter().flat_map(|field| field.shape.kinds());
        kinds.any(|kind| matches!(kind, ValueKind::Key(_)))
    };
    let count = |table: NamedTable<'_>| {
        let values = table.iter().flat_map(|record| record.fields().map(|(_, value)| dangling_in(value)));
        (table.schema().name.clone(), values.sum())
    };
    view.named_tables().filter(holds_keys).map(count).collect()
}

fn dangling_in(value: NamedValue<'_>) -> u64 {
    match value {
        NamedValue::Key(key) => u64::from(key.get().is_none()),
        NamedValue::List(list) | NamedValue::Set(list) => list.iter().map(dangling_in).sum(),
        NamedValue::Map(map) => map.iter().map(|(key, value)| dangling_in(key) + dangling_in(value)).sum(),
        // The keys in a component are counted with the component's type.
        _ => 0,
    }
}

fn visit_references(
    fields: &[Field],
    row: RowAt<'_>,
    visit: &mut impl FnMut(&str, TypeId, Ordinal) -> Result<(), String>,
) -> Result<(), String> {
    for (index, field) in fields.iter().enumerate() {
        let cell = row.cell(index);
        if field.shape.kinds().all(|kind| kind.component().is_none()) || !cell.is_present() {
            continue;
        }
        let mut visit_all = |kind: &ValueKind, elements: Elements<'_>| {
            let Some(id) = kind.component() else { return Ok(()) };
            (0..elements.len()).try_for_each(|at| visit(&field.name, id, Ordinal(elements.scalar(at) as u32)))
        };
        match &field.shape {
            Shape::One(kind) => {
                if let Some(id) = kind.component() {
                    visit(&field.name, id, Ordinal(cell.scalar() as u32))?;
                }
            }
            Shape::List(kind) | Shape::Set(kind) => visit_all(kind, cell.elements())?,
            Shape::Map(key, value) => {
                let (keys, values) = cell.entries();
                visit_all(key, keys)?;
                visit_all(value, values)?;
            }
        }
    }
    Ok(())
}
