//! What the program declares: its records and its indexes.

use std::sync::Arc;

use cenote_state::held::Selection;
use cenote_state::record::Declared;
use cenote_state::schema::Schema;
use cenote_state::view::indexes::IndexBinding;
use cenote_state::view::{IndexDeclaration, IndexError};

/// What the program declares.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) declared: Arc<Declared>,
    pub(crate) indexes: Vec<IndexDeclaration>,
    /// What is held of a dataset.
    pub(crate) selection: Selection,
}

impl Program {
    /// Finds the indexes' fields in a dataset's schema.
    pub(crate) fn bind_indexes(&self, chain: &Schema) -> Result<Arc<IndexBinding>, IndexError> {
        IndexBinding::new(&self.indexes, &self.declared, chain).map(Arc::new)
    }
}
