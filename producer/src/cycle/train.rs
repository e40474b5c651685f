//! Train: the symbol tables of packed columns, found in the first cycle that has enough text for one.
//!
//! A column gets one table, once: text that is packed already refers to its table by number, and a better table would pay
//! only for text that is written again. If a column's text changes its nature, `Allow::replace` starts the column again.
//!
//! Rules: the same input on the same parent gives the same tables (I12); the number of values read is bounded, so that a
//! small update stays small (I10).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_state::ids::TypeId;
use cenote_state::packed::{SymbolTable, Symbols, TABLES_MAX, TRAINING_BYTES_MIN};
use cenote_state::row::RowRef;
use cenote_state::schema::limits;
use cenote_state::state::State;

/// Values that are looked at; the training itself draws some of them.
const SAMPLE_VALUES: usize = 16 << 10;
/// Older values that are looked at for each new one, so that a column with too little text for a table, which is looked
/// at in every cycle, costs what the change does.
const OLDER_FOR_EACH: usize = 64;
/// But so many at least: text of 16 bytes is enough for a table however little comes at a time.
const OLDER_MIN: usize = 1 << 10;

/// The tables of the types that get new ones: the old, then the new. `rows` are a type's new records.
pub(crate) fn new_symbols<'r>(
    state: &State,
    rows: impl Fn(TypeId) -> Vec<RowRef<'r>>,
) -> BTreeMap<TypeId, Arc<Symbols>> {
    let mut found = BTreeMap::new();
    let mut room =
        limits::COLUMNS - state.tables().iter().filter_map(|table| table.symbols()).map(|all| all.len()).sum::<usize>();
    for (id, schema) in state.schema().iter() {
        let mut symbols = state.table(id).symbols().map_or_else(Symbols::default, |known| Symbols::clone(known));
        let known = symbols.len();
        let packed = schema.fields.iter().enumerate().filter(|(_, field)| field.is_packed());
        let untrained: Vec<_> = packed.filter(|(_, field)| symbols.newest(field.column).is_none()).collect();
        if untrained.is_empty() {
            continue;
        }
        let rows = rows(id);
        for (field, column) in untrained.into_iter().map(|(index, field)| (index, field.column)) {
            let full = symbols.len() == TABLES_MAX || room == 0;
            if let Some(table) = (!full).then(|| table_for(state, id, field, &rows)).flatten() {
                room -= usize::from(symbols.push(column, table));
            }
        }
        if symbols.len() > known {
            found.insert(id, Arc::new(symbols));
        }
    }
    found
}

/// A table from the new records' values, and from older ones where these are few; none if all of it is little text.
fn table_for(state: &State, id: TypeId, field: usize, rows: &[RowRef<'_>]) -> Option<SymbolTable> {
    let stride = rows.len().div_ceil(SAMPLE_VALUES).max(1);
    let sampled = rows.iter().step_by(stride);
    let mut values: Vec<Cow<'_, [u8]>> = sampled.filter_map(|row| row.cell(field).map(Cow::Borrowed)).collect();
    // A cycle without text in this column would bring a table for nothing.
    if values.iter().all(|value| value.is_empty()) {
        return None;
    }
    let mut bytes: usize = values.iter().map(|value| value.len()).sum();
    let table = state.table(id);
    let older = (values.len() * OLDER_FOR_EACH).clamp(OLDER_MIN, SAMPLE_VALUES);
    let mut older = table.ordinals().take(older).filter_map(|ordinal| table.row(ordinal));
    while bytes < TRAINING_BYTES_MIN {
        let mut value = Vec::new();
        older.next()?.cell(field).canonical(&mut value);
        bytes += value.len();
        values.push(Cow::Owned(value));
    }
    SymbolTable::train(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())
}
