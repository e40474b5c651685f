//! What can be seen in the tokens is said by the derive.

use std::collections::{BTreeSet, HashMap};

use cenote_state::{Key, Record};

#[derive(Record)]
struct Generic<T> { //~ record Generic can't have parameters
    field: T,
}

#[derive(Record)]
struct Borrowing<'a> { //~ record Borrowing can't have parameters: it owns what it holds; write String for &str, Vec for a slice
    field: &'a str,
}

#[derive(Record)]
struct Counted<const N: usize> { //~ record Counted can't have parameters: a dataset's types are plain; write the types out
    field: u8,
}

#[derive(Record)]
struct Bounded
where //~ record Bounded can't have a where clause
    u8: Copy,
{
    field: u8,
}

#[derive(Record)]
enum Parameter<T> { //~ record Parameter can't have parameters
    One(T),
}

#[derive(Record)]
struct Tuple(u8, u8); //~ record Tuple needs named fields; write struct Tuple { name: Type, … }

#[derive(Record)]
struct Empty {} //~ record Empty has no fields

#[derive(Record)]
struct List {
    field: Vec<Vec<String>>, //~ field field: Vec inside a list, set or map is a level too deep; put it in a component
}

#[derive(Record)]
struct Nothing {
    field: Vec<Option<u16>>, //~ field field: Option inside a list, set or map is a level too deep
}

#[derive(Record)]
struct Twice {
    field: Option<Option<u16>>, //~ field field: Option in Option says nothing more; write Option once
}

#[derive(Record)]
struct Size {
    field: usize, //~ field field: usize has no place in a dataset; write u64
}

#[derive(Record)]
struct Letter {
    field: Vec<char>, //~ field field: char has no place in a dataset; write String or u32
}

#[derive(Record)]
struct Floats {
    field: BTreeSet<f32>, //~ field field: a set can't hold floats
}

#[derive(Record)]
struct FloatKeys {
    field: HashMap<f64, u8>, //~ field field: a map's key can't be a float; use an integer, an enum or String
}

#[derive(Record)]
struct Borrowed {
    field: &'static str, //~ field field: a record owns what it holds; write String for &str
}

#[derive(Record)]
struct Boxed {
    field: Box<u8>, //~ field field: Box has no place in a record; write what is inside it, or #[record(with = Adapter)]
}

#[derive(Record)]
struct Pair {
    field: (u8, u8), //~ field field: tuples have no field names; make it a struct with #[derive(Record)]
}

#[derive(Record)]
#[record(key = "id")]
struct Root {
    id: u8,
    field: Vec<Root>, //~ field field: Root is a root, which is referred to by key; write Key<Root>
}

#[derive(Record)]
struct Tree {
    field: Vec<Tree>, //~ field field: component Tree can't contain itself; give it a key and write Key<Tree>
}

#[derive(Record)]
struct Packed {
    #[record(packed)]
    field: u32, //~ field field: packed is for one text, a String or an Option of it
}

#[derive(Record)]
struct PackedList {
    #[record(packed)]
    field: Option<Vec<String>>, //~ field field: packed is for one text, a String or an Option of it; put text that is in a list or a map into a component
}

#[derive(Record)]
struct PackedDedup {
    #[record(packed, dedup)]
    field: String, //~ field field: text is kept once (dedup) or packed, not both; leave one out
}

#[derive(Record)]
#[record(key = "id, field")] //~ key: field field is packed; a key is read at every look-up, so leave it plain
struct PackedKey {
    id: u8,
    #[record(packed)]
    field: String,
}

#[derive(Record)]
struct Dedup {
    #[record(dedup)]
    field: u8, //~ field field: dedup is for text
}

#[derive(Record)]
struct Unknown {
    #[record(unique)] //~ field field: unknown; write name = "…", was = "…", default, dedup, packed, skip or with = Adapter
    field: u8,
}

#[derive(Record)]
struct SkippedName {
    id: u8,
    #[record(skip, name = "other")]
    field: u8, //~ field field: the dataset does not have what is skipped; write skip alone
}

#[derive(Record)]
struct SkippedAll { //~ record SkippedAll has no fields; a record holds at least one
    #[record(skip)]
    field: u8,
}

#[derive(Record)]
struct AdaptedDedup {
    #[record(with = Adapter, dedup)]
    field: String, //~ field field: the adapter says what is stored; leave dedup and packed out
}

#[derive(Record)]
#[record(key = "field")] //~ key: field field has an adapter, and a key is borrowed; make its type a newtype
struct AdaptedKey {
    #[record(with = Adapter)]
    field: Foreign,
}

#[derive(Record)]
struct NewtypeOfList(Vec<String>); //~ NewtypeOfList: a struct without field names holds bool, i8 to i64

#[derive(Record)]
#[record(key = "0")]
struct NewtypeWithKey(u8); //~ NewtypeWithKey holds one value and is no type of the dataset

#[derive(Record)]
struct KeyOnField {
    #[record(key)] //~ field field: the key belongs on the struct; write #[record(key = "field")] above it
    field: u8,
}

#[derive(Record)]
#[record(key = "number")] //~ key: NoSuchKey has no field number; its fields are id
struct NoSuchKey {
    id: u8,
}

#[derive(Record)]
#[record(key = "id")] //~ key: field id is an Option; a key must always be there
struct OptionalKey {
    id: Option<u8>,
}

#[derive(Record)]
#[record(key = "id")] //~ key: field id is a float, which can't identify
struct FloatKey {
    id: f32,
}

#[derive(Record)]
struct SameName {
    one: u8,
    #[record(name = "one")]
    two: u8, //~ field two: two fields are named "one" in the dataset
}

#[derive(Record)]
struct Reserved {
    ordinal: u8, //~ field ordinal: every reader has a method of that name; rename the field
}

#[derive(Record)]
struct RawReserved {
    r#to_owned: u8, //~ field to_owned: every reader has a method of that name; rename the field
}

#[derive(Record)]
struct RawAndPlain {
    r#type: u8,
    #[record(name = "type")]
    kind: u8, //~ field kind: two fields are named "type" in the dataset
}

#[derive(Record)]
struct SelfInside {
    field: Vec<Self>, //~ field field: component SelfInside can't contain itself; give it a key and write Key<SelfInside>
}

#[derive(Record)]
struct OnVariant {
    #[record(other)] //~ field field: other belongs on a variant of an enum
    field: u8,
}

// A type from a macro is shown where it is written.
macro_rules! holding {
    ($name:ident, $field:ident: $type:ty) => {
        #[derive(Record)]
        struct $name {
            $field: $type,
        }
    };
}
holding!(FromMacro, field: usize); //~ field field: usize has no place in a dataset; write u64
holding!(DeepFromMacro, field: Vec<Vec<u16>>); //~ field field: Vec inside a list, set or map is a level too deep

#[derive(Clone, Copy, Debug, PartialEq, Record)]
enum Shape {
    Round(u8), //~ variant Round of Shape has fields; a record's enum has none: put them in a component
}

#[derive(Clone, Copy, Debug, PartialEq, Record)]
enum Others {
    #[record(other)]
    One,
    #[record(other)] //~ two variants of Others are marked other
    Two,
}
