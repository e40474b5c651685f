//! Symbol tables in a footer.
//!
//! A snapshot's footer has all tables of its types; a delta's those that come after its parent's. So an owner of a
//! state has the tables of all its packed text, whether it was loaded or refreshed.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::sync::Arc;

use crate::delta::Delta;
use crate::ids::TypeId;
use crate::packed::{SymbolTable, Symbols};
use crate::schema::limits;
use crate::state::State;

use super::footer::unsound;
use super::{BlobError, Footer, SymbolsInfo};

/// All tables of a state.
pub(super) fn all_symbols(state: &State) -> Vec<SymbolsInfo> {
    let types = state.tables().iter().filter_map(|table| Some((table.layout().type_id, table.symbols()?)));
    types.flat_map(|(id, symbols)| infos(id, symbols, 0)).collect()
}

/// The tables that a delta brings to its parent.
pub(super) fn new_symbols(delta: &Delta, parent: &State) -> Vec<SymbolsInfo> {
    let known = |id: TypeId| parent.table(id).symbols().map_or(0, |symbols| symbols.len());
    delta.symbols.iter().flat_map(|(id, symbols)| infos(*id, symbols, known(*id))).collect()
}

fn infos(type_id: TypeId, symbols: &Symbols, known: usize) -> impl Iterator<Item = SymbolsInfo> {
    symbols.iter().zip(1..).skip(known).map(move |((column, table), number)| {
        let (lengths, bytes) = table.to_parts();
        SymbolsInfo { type_id, number, column, lengths, bytes }
    })
}

/// The tables of each type that the footer brings any for: those that `before` has, then the footer's.
pub(super) fn read_symbols(footer: &Footer, before: &State) -> Result<Vec<(TypeId, Arc<Symbols>)>, BlobError> {
    let known: usize = before.tables().iter().filter_map(|table| table.symbols()).map(|symbols| symbols.len()).sum();
    if known.saturating_add(footer.symbols.len()) > limits::COLUMNS {
        return Err(unsound(format!("more than {} symbol tables", limits::COLUMNS)));
    }
    let mut read: Vec<(TypeId, Symbols)> = Vec::new();
    for info in &footer.symbols {
        if info.type_id.index() >= before.tables().len() || read.last().is_some_and(|(last, _)| *last > info.type_id) {
            return Err(unsound("a symbol table is of no type, or out of order"));
        }
        if read.last().is_none_or(|(last, _)| *last != info.type_id) {
            let known = before.table(info.type_id).symbols();
            read.push((info.type_id, known.map_or_else(Symbols::default, |known| Symbols::clone(known))));
        }
        let (_, symbols) = read.last_mut().expect("one was pushed for this type");
        let table = SymbolTable::new(&info.lengths, &info.bytes)?;
        if usize::from(info.number) != symbols.len().saturating_add(1) || !symbols.push(info.column, table) {
            return Err(unsound(format!("symbol table {} is not the next", info.number)));
        }
    }
    Ok(read.into_iter().map(|(id, symbols)| (id, Arc::new(symbols))).collect())
}
