//! The message from the write side to the read side: the whole new state of one entity, and its version.
//!
//! Messages carry states and not changes. So a read side that has version 7 of an entity drops messages with version 7 or
//! less, and duplicates and reordering do no harm; a careful team chooses this for that reason.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Micros, Page, Product};
use crate::{Answer, Failure};

/// The entity of a message; order matters only within one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// A product.
    Product(u64),
    /// A page.
    Page(u64),
}

impl fmt::Display for Key {
    /// `product-7`: also the routing key at brokers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Product(id) => write!(f, "product-{id}"),
            Key::Page(id) => write!(f, "page-{id}"),
        }
    }
}

impl FromStr for Key {
    type Err = Failure;

    fn from_str(text: &str) -> Answer<Key> {
        match text.split_once('-') {
            Some(("product", id)) => Ok(Key::Product(id.parse()?)),
            Some(("page", id)) => Ok(Key::Page(id.parse()?)),
            _ => Err(format!("a key is product-<number> or page-<number>, not {text:?}").into()),
        }
    }
}

/// The new state of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Of a product.
    Product(Product),
    /// Of a published page.
    Page(Page),
    /// The page is published no longer.
    PageGone(u64),
}

/// Why an entity changed, for programs that react to changes rather than show states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It is new.
    Added,
    /// It got another name.
    Renamed,
    /// It costs less: the mailer sends a mail.
    Cheaper,
    /// It costs more.
    Dearer,
    /// Its stock changed.
    Stocked,
    /// It is in another category.
    Moved,
    /// It was published.
    Published,
    /// It was taken down.
    Unpublished,
    /// The message was made from a row, which has no cause.
    Unknown,
}

/// One commit's change of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The entity's version after the change; with the key it identifies the message.
    pub version: u64,
    /// When it was committed.
    pub at: Micros,
    /// Why.
    pub cause: Cause,
    /// Whether this is a replay, on which a program with side effects must not act.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// The new state.
    pub change: Change,
}

impl Message {
    /// The entity.
    #[must_use]
    pub fn key(&self) -> Key {
        match &self.change {
            Change::Product(product) => Key::Product(product.id),
            Change::Page(page) => Key::Page(page.id),
            Change::PageGone(id) => Key::Page(*id),
        }
    }

    /// Encodes it as JSON, which tolerates fields that one side does not know yet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a message has string keys only")
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// It is not a message: a retry would not help.
    pub fn decode(bytes: &[u8]) -> Answer<Message> {
        serde_json::from_slice(bytes).map_err(|error| format!("the body is not a message: {error}").into())
    }
}
