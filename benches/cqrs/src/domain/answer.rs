//! Queries, and how a read side shows its answer.
//!
//! A read side shows its answer to a visitor field by field, borrowed: one that holds the data in memory copies nothing,
//! one that reads it from a socket has a copy anyway, and both can be compared and timed.

use std::hash::{Hash, Hasher};

use super::Key;

/// A query of a read side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Query {
    /// The product page: everything about one product.
    Product(u64),
    /// The first [`LISTING`](super::LISTING) products of a category, by id.
    Category(u32),
    /// A page, with all products that it refers to.
    Page(u64),
}

impl Query {
    /// The query whose answer shows this entity's version.
    #[must_use]
    pub fn of(key: Key) -> Query {
        match key {
            Key::Product(id) => Query::Product(id),
            Key::Page(id) => Query::Page(id),
        }
    }
}

/// A product as a reader sees it: denormalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Card<'a> {
    /// The key.
    pub id: u64,
    /// The name.
    pub name: &'a str,
    /// The maker.
    pub brand: &'a str,
    /// The path of its category: `Home > Kitchen > Pans`.
    pub category_path: &'a str,
    /// The price.
    pub price_cents: u64,
    /// How many are in stock.
    pub stock: u32,
    /// The field that a migration adds.
    pub weight_grams: Option<u32>,
    /// The entity's version; the probe of freshness reads it.
    pub version: u64,
}

/// Gets an answer, part by part.
pub trait Visitor {
    /// The page's headline and version; comes before its products.
    fn page(&mut self, title: &str, version: u64);
    /// The product that was asked for, or the next of several.
    fn product(&mut self, card: Card<'_>);
}

/// An answer, owned: for comparisons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The page's headline and version.
    pub page: Option<(String, u64)>,
    /// The products.
    pub products: Vec<OwnedCard>,
}

/// A card that owns its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedCard {
    /// As in [`Card`].
    pub id: u64,
    /// As in [`Card`].
    pub name: String,
    /// As in [`Card`].
    pub brand: String,
    /// As in [`Card`].
    pub category_path: String,
    /// As in [`Card`].
    pub price_cents: u64,
    /// As in [`Card`].
    pub stock: u32,
    /// As in [`Card`].
    pub weight_grams: Option<u32>,
    /// As in [`Card`].
    pub version: u64,
}

impl OwnedCard {
    /// The card, borrowed.
    #[must_use]
    pub fn card(&self) -> Card<'_> {
        Card {
            id: self.id,
            name: &self.name,
            brand: &self.brand,
            category_path: &self.category_path,
            price_cents: self.price_cents,
            stock: self.stock,
            weight_grams: self.weight_grams,
            version: self.version,
        }
    }
}

impl Card<'_> {
    /// A copy.
    #[must_use]
    pub fn to_owned(&self) -> OwnedCard {
        OwnedCard {
            id: self.id,
            name: self.name.to_owned(),
            brand: self.brand.to_owned(),
            category_path: self.category_path.to_owned(),
            price_cents: self.price_cents,
            stock: self.stock,
            weight_grams: self.weight_grams,
            version: self.version,
        }
    }
}

impl Visitor for Collected {
    fn page(&mut self, title: &str, version: u64) {
        self.page = Some((title.to_owned(), version));
    }

    fn product(&mut self, card: Card<'_>) {
        self.products.push(card.to_owned());
    }
}

impl Collected {
    /// Shows the answer again.
    pub fn show(&self, visitor: &mut dyn Visitor) {
        if let Some((title, version)) = &self.page {
            visitor.page(title, *version);
        }
        self.products.iter().for_each(|product| visitor.product(product.card()));
    }

    /// The version of the entity that was asked for; 0 if it does not exist.
    #[must_use]
    pub fn version(&self) -> u64 {
        match (&self.page, self.products.first()) {
            (Some((_, version)), _) => *version,
            (None, Some(product)) => product.version,
            (None, None) => 0,
        }
    }
}

/// Reads every field of an answer into a number: for timing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    /// Depends on all that was shown.
    pub sum: u64,
    /// The version of what was shown first.
    pub version: Option<u64>,
    /// How many products were shown.
    pub products: usize,
}

impl Visitor for Sum {
    fn page(&mut self, title: &str, version: u64) {
        self.sum = self.sum.wrapping_add(text(title));
        self.version.get_or_insert(version);
    }

    #[inline]
    fn product(&mut self, card: Card<'_>) {
        let texts = text(card.name) + text(card.brand) + text(card.category_path);
        let numbers = card.id ^ card.price_cents ^ u64::from(card.stock) ^ u64::from(card.weight_grams.unwrap_or(0));
        self.sum = self.sum.wrapping_add(texts).wrapping_add(numbers);
        self.version.get_or_insert(card.version);
        self.products += 1;
    }
}

/// A hash of every field of many answers: for a comparison across processes of one program.
#[derive(Debug, Clone, Default)]
pub struct Digest(std::hash::DefaultHasher);

impl Digest {
    /// The hash of all that was shown.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.finish()
    }
}

impl Visitor for Digest {
    fn page(&mut self, title: &str, version: u64) {
        ("page", title, version).hash(&mut self.0);
    }

    fn product(&mut self, card: Card<'_>) {
        card.hash(&mut self.0);
    }
}

/// Reads a text at both ends.
fn text(text: &str) -> u64 {
    let ends = text.as_bytes().first().into_iter().chain(text.as_bytes().last());
    ends.map(|byte| u64::from(*byte)).sum::<u64>() + text.len() as u64
}
