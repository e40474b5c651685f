//! Names that could meet those of generated code, or of std.

use cenote_state::Record;

/// What a crate has for its errors.
pub type Result<T> = std::result::Result<T, std::fmt::Error>;

/// Names of std's prelude, for other things.
#[allow(dead_code)]
pub mod shadows {
    use cenote_state::Record;

    pub(crate) struct Option;
    pub(crate) struct Vec;
    pub(crate) struct String;
    pub(crate) trait Clone {}
    pub(crate) trait Copy {}
    pub(crate) trait PartialEq {}
    pub(crate) trait FnOnce {}
    #[allow(non_snake_case, unused)]
    pub(crate) fn Some() -> (Option, Vec, String) {
        (Option, Vec, String)
    }
    #[allow(non_snake_case, unused)]
    pub(crate) fn Ok() {}
    #[allow(unused)]
    macro_rules! assert {
        () => {};
    }

    /// A component.
    #[derive(Record)]
    pub struct Plain {
        number: u8,
        #[record(default)]
        text: std::string::String,
        #[record(packed)]
        packed: std::option::Option<std::string::String>,
    }

    /// A value.
    #[derive(Debug, Record)]
    pub enum Value {
        /// One.
        Vec,
        /// Another.
        Some,
    }
    impl std::clone::Clone for Value {
        fn clone(&self) -> Self {
            *self
        }
    }
    impl std::marker::Copy for Value {}
    impl std::cmp::PartialEq for Value {
        fn eq(&self, other: &Self) -> bool {
            (*self as u8) == (*other as u8)
        }
    }
}

/// A root with fields named as locals, methods and fields of generated code.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "view, at, own")]
pub struct Locals {
    view: u64,
    at: u64,
    own: String,
    row: u8,
    reader: u8,
    writer: u8,
    declaration: u8,
    declare: u8,
    write: u8,
    slot: u8,
    is_same: u8,
    is_whole: u8,
    holds: u8,
    field: u8,
    key: u8,
    other: u8,
    f: u8,
    self_: u8,
    this: u8,
    source: u8,
    binding: u8,
    scope: u8,
    value: u8,
    get: u8,
    borrow: u8,
    index: u8,
    v: u8,
    #[record(name = "ordinal")]
    number: u8,
    #[record(name = "to_owned")]
    owned: u8,
}

/// A component with fields named as methods of the traits that a reader has.
#[derive(Clone, Debug, PartialEq, Record)]
pub struct Methods {
    clone: u8,
    eq: u8,
    ne: u8,
    fmt: u8,
    into: u8,
    from: u8,
    debug_struct: u8,
    finish: u8,
}

/// Names that are keywords.
#[derive(Clone, Debug, PartialEq, Record)]
#[allow(non_camel_case_types)]
#[record(key = "type, match.fn")]
pub struct r#struct {
    /// A keyword.
    pub r#type: u64,
    r#match: r#trait,
    r#async: Option<r#enum>,
    #[record(dedup)]
    r#dyn: String,
    #[record(name = "mod", was = "use")]
    r#mod: u8,
    r#where: Vec<r#trait>,
}

/// A keyword's component.
#[derive(Clone, Debug, PartialEq, Record)]
#[allow(non_camel_case_types)]
pub struct r#trait {
    r#fn: String,
}

/// A keyword's enum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
#[allow(non_camel_case_types)]
pub enum r#enum {
    /// A keyword.
    #[default]
    r#loop,
    /// Not known.
    #[record(other)]
    r#break,
}

/// Variants named as what the traits associate with a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
pub enum Associated {
    /// Of `Value`.
    Owned,
    /// Of `Value`.
    Ref,
    /// Of `KeyValue`.
    Borrowed,
    /// Of `Root`.
    Key,
    /// Of indexes.
    Stored,
    /// Of `Enum`.
    VARIANTS,
}

/// An enum named as a parameter might be.
#[derive(Clone, Copy, Debug, PartialEq, Record)]
pub enum S {
    /// One.
    A,
}

/// An enum named as a parameter might be.
#[derive(Clone, Copy, Debug, PartialEq, Record)]
pub enum R {
    /// One.
    A,
}

/// A struct named as a parameter might be.
#[derive(Clone, Debug, PartialEq, Record)]
pub struct F {
    letters: Vec<S>,
    others: Option<Vec<R>>,
}

/// Inside a function.
pub fn inside() {
    #[derive(Record)]
    struct Local {
        inner: std::collections::BTreeSet<Associated>,
    }
    fn read(local: LocalRef<'_>) -> bool {
        local.inner().contains(Associated::Ref)
    }
    let _: fn(LocalRef<'_>) -> bool = read;
    let _: fn(Local) -> usize = |local| local.inner.len();
}

/// The keyword is the method's name, too.
pub fn keywords(record: structRef<'_>) -> Option<r#enum> {
    let _: (u64, &str, &str, u8) = (record.r#type(), record.r#match().r#fn(), record.r#dyn(), record.r#mod());
    let _: Option<traitRef<'_>> = record.r#where().get(0);
    record.r#async()
}

/// Readers have std's traits whatever their fields are called.
pub fn methods(methods: MethodsRef<'_>, locals: LocalsRef<'_>) -> String {
    let _: (u8, u8, u8) = (methods.clone(), methods.eq(), methods.fmt());
    assert!(methods == methods && Clone::clone(&locals) == locals);
    let _: (u64, u64, &str, u8, u8) = (locals.view(), locals.at(), locals.own(), locals.number(), locals.self_());
    format!("{methods:?}{}", locals.ordinal())
}
