//! What the structs of a program can't say together.

use crate::record::Registry;
use crate::{Key, Record};

mod other {
    use crate::Record;

    #[derive(Record)]
    pub(super) struct Part {
        pub(super) text: String,
    }
}

#[derive(Record)]
struct Part {
    number: u8,
    others: Vec<other::Part>,
}

#[derive(Record)]
#[record(key = "id")]
struct TwoOfOneName {
    id: u8,
    part: Part,
}

#[derive(Record)]
struct Node {
    edges: Vec<Edge>,
}

#[derive(Record)]
struct Edge {
    node: Option<Node>,
}

#[derive(Record)]
#[record(key = "id")]
struct Graph {
    id: u8,
    node: Node,
}

/// A name that would clear the terminal of a person who reads a message.
#[derive(Record)]
#[record(key = "id", name = "Forged\u{1b}[2J")]
struct Forged {
    id: u8,
}

#[derive(Record)]
#[record(key = "id")]
struct LongName {
    id: u8,
    #[record(name = "")]
    unnamed: u8,
}

#[derive(Record)]
#[record(key = "id")]
struct Friend {
    id: u8,
    friends: Vec<Key<Friend>>,
}

fn check(registry: Registry, expected: Option<&str>) {
    let problem = registry.finish().err().map(|problem| problem.to_string());
    assert_eq!(problem.as_deref(), expected);
}

#[test]
fn two_types_of_one_name() {
    let expected = "two types are named Part; give one of them another #[record(name = \"…\")]";
    check(Registry::new().with::<TwoOfOneName>(), Some(expected));
}

#[test]
fn a_component_in_itself() {
    let expected =
        "component Node contains itself by way of Node.edges, Edge.node; give it a key and refer to it by Key<Node>";
    check(Registry::new().with::<Graph>(), Some(expected));
}

#[test]
fn roots_may_refer_to_each_other() {
    check(Registry::new().with::<Friend>().with::<Friend>(), None);
}

#[test]
fn names_have_limits() {
    check(Registry::new().with::<LongName>(), Some("the name \"\" has 0 bytes; a name has 1 to 255"));
    let expected =
        r#"the name "Forged\u{1b}[2J" has control characters; names of types, fields and variants have none"#;
    check(Registry::new().with::<Forged>(), Some(expected));
}
