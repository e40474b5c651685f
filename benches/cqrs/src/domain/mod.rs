//! The domain: a product catalogue with stock and editorial pages, as large marketplaces have them.
//!
//! It knows no database and no broker. [`rules`] validates commands, a [`Message`] carries what a commit changed, and a read
//! side shows the answers of three [`Query`]s to a [`Visitor`].
//!
//! Rules: a product's stock is never below zero; prices are above zero; a page refers to 1 to 50 products that exist;
//! products are never deleted; every change of an entity raises its version by one.

mod answer;
mod message;
pub mod rules;
mod truth;
mod world;

use serde::{Deserialize, Serialize};

pub use answer::{Card, Collected, Digest, OwnedCard, Query, Sum, Visitor};
pub use message::{Cause, Change, Key, Message};
pub use truth::{Difference, Truth};
pub(crate) use world::Random;
pub use world::{Category, Commands, Reference, World};

/// The most products that a page refers to.
pub const PAGE_PRODUCTS_MAX: usize = 50;
/// How many products a category's listing shows: the first by id, as a shop's first page does.
pub const LISTING: usize = 50;

/// A product on the write side: normalised, its brand and category by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The key.
    pub id: u64,
    /// The name.
    pub name: String,
    /// A number of [`Reference::brands`].
    pub brand: u32,
    /// A number of [`Reference::categories`].
    pub category: u32,
    /// The price.
    pub price_cents: u64,
    /// How many are in stock.
    pub stock: u32,
    /// The field that a migration adds (fault `field-added`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_grams: Option<u32>,
}

/// A page of editorial text that shows products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The key.
    pub id: u64,
    /// Its headline.
    pub title: String,
    /// The products, in the order in which they are shown.
    pub products: Vec<u64>,
}

/// A command for the write side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Adds a product that does not exist yet.
    Add(Product),
    /// Gives a product another name.
    Rename {
        /// The product.
        id: u64,
        /// The new name.
        name: String,
    },
    /// Gives a product another price.
    Price {
        /// The product.
        id: u64,
        /// The new price.
        price_cents: u64,
    },
    /// Sells (below zero) or receives (above zero) some of a product.
    Stock {
        /// The product.
        id: u64,
        /// By how many.
        by: i64,
    },
    /// Moves a product to another category.
    Move {
        /// The product.
        id: u64,
        /// The new category.
        category: u32,
    },
    /// Publishes a page, again if it is published already.
    Publish(Page),
    /// Takes a page down.
    Unpublish {
        /// The page.
        id: u64,
    },
}

impl Command {
    /// The entity that it changes.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Command::Add(product) => Key::Product(product.id),
            Command::Rename { id, .. }
            | Command::Price { id, .. }
            | Command::Stock { id, .. }
            | Command::Move { id, .. } => Key::Product(*id),
            Command::Publish(page) => Key::Page(page.id),
            Command::Unpublish { id } => Key::Page(*id),
        }
    }
}

/// A command was executed and is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The entity that it changed.
    pub key: Key,
    /// The entity's version after it.
    pub version: u64,
}

/// Why a command was rejected: it breaks a rule, and nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such product.
    #[error("there is no product {0}: add it first")]
    NoProduct(u64),
    /// There is one already.
    #[error("product {0} exists: change it instead")]
    ProductExists(u64),
    /// There is no such page, or it is not published.
    #[error("page {0} is not published: publish it first")]
    NoPage(u64),
    /// There are not enough in stock.
    #[error("product {id} has {stock} in stock: {by} can't be taken")]
    OutOfStock {
        /// The product.
        id: u64,
        /// How many are in stock.
        stock: u32,
        /// The requested change.
        by: i64,
    },
    /// A value out of range.
    #[error("{what} of {key} is out of range: {value}")]
    OutOfRange {
        /// The entity.
        key: Key,
        /// Which field.
        what: &'static str,
        /// The value.
        value: u64,
    },
}

/// Why a command was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It breaks a rule: don't repeat it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The write side failed: retry later.
    #[error("the command was not executed: {0}")]
    Failed(#[source] super::Failure),
}

/// Microseconds since 1970 by the wall clock: when a commit was made, as it travels in messages.
pub type Micros = u64;
