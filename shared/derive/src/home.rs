//! The name by which the user's crate knows Cenote.
//!
//! The derive of each library names that library. A user may have renamed it (`cen = { package = "cenote-consumer" }`), or
//! may have the derive from a crate that exports it again and depend on another library of Cenote's. So the user's
//! `Cargo.toml` decides: the derive's own library first, then the others, which all have what generated code needs.
//!
//! Without a `Cargo.toml` (another build system), or with none of them in it, the generated code names the library as it
//! is published; `#[record(crate = path)]` says otherwise.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};

use crate::hygiene::generate;

/// The libraries that have what generated code needs, as Cargo names them.
const LIBRARIES: [&str; 3] = ["cenote-consumer", "cenote-producer", "cenote-state"];

/// The path of Cenote in the user's crate, for the derive of `library`.
pub(crate) fn home(library: &str) -> TokenStream {
    let found = std::iter::once(library).chain(LIBRARIES).find_map(name_of);
    let name = found.unwrap_or_else(|| identifier(library));
    let name = Ident::new(&name, Span::call_site());
    generate!(::#name)
}

/// What the crate that is being compiled calls a library.
fn name_of(library: &str) -> Option<String> {
    match crate_name(library).ok()? {
        FoundCrate::Name(name) => Some(name),
        // Its own tests, examples and documentation; a library names itself by `extern crate self`.
        FoundCrate::Itself => Some(identifier(library)),
    }
}

fn identifier(library: &str) -> String {
    library.replace('-', "_")
}
