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
    /// The declared root types that a dataset lacks, if it has others.
    pub(crate) fn missing_types(&self, chain: &Schema) -> Vec<String> {
        let roots = |schema: &Schema| -> Vec<String> {
            let present = schema.types.iter().filter(|of_type| of_type.is_root() && !of_type.fields.is_empty());
            present.map(|of_type| of_type.name.clone()).collect()
        };
        let (declared, found) = (roots(self.declared.schema()), roots(chain));
        if found.is_empty() {
            return Vec::new();
        }
        declared.into_iter().filter(|name| !found.contains(name)).collect()
    }

    /// Finds the indexes' fields in a dataset's schema.
    pub(crate) fn bind_indexes(&self, chain: &Schema) -> Result<Arc<IndexBinding>, IndexError> {
        IndexBinding::new(&self.indexes, &self.declared, chain).map(Arc::new)
    }
}
