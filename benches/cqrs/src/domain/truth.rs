//! The truth: what the write side holds now, from which every right answer follows.

use std::collections::BTreeMap;
use std::fmt;

use super::{Card, Change, Collected, LISTING, Message, Page, Product, Query, Reference};

/// Everything that the write side holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    products: BTreeMap<u64, (Product, u64)>,
    pages: BTreeMap<u64, (Page, u64)>,
    by_category: BTreeMap<u32, std::collections::BTreeSet<u64>>,
}

impl Truth {
    /// Applies one entity's state. Messages must come in order.
    pub fn apply(&mut self, message: &Message) {
        match &message.change {
            Change::Product(product) => {
                let before = self.products.insert(product.id, (product.clone(), message.version));
                if let Some((before, _)) = before {
                    self.by_category.entry(before.category).or_default().remove(&before.id);
                }
                self.by_category.entry(product.category).or_default().insert(product.id);
            }
            Change::Page(page) => _ = self.pages.insert(page.id, (page.clone(), message.version)),
            Change::PageGone(id) => _ = self.pages.remove(id),
        }
    }

    /// The right answer.
    #[must_use]
    pub fn answer(&self, query: Query, reference: &Reference) -> Collected {
        let mut answer = Collected::default();
        match query {
            Query::Product(id) => self.show(id, reference, &mut answer),
            Query::Category(category) => {
                let ids = self.by_category.get(&category).into_iter().flatten().take(LISTING);
                ids.for_each(|&id| self.show(id, reference, &mut answer));
            }
            Query::Page(id) => {
                if let Some((page, version)) = self.pages.get(&id) {
                    answer.page = Some((page.title.clone(), *version));
                    page.products.iter().for_each(|&id| self.show(id, reference, &mut answer));
                }
            }
        }
        answer
    }

    fn show(&self, id: u64, reference: &Reference, answer: &mut Collected) {
        let Some((product, version)) = self.products.get(&id) else { return };
        answer.products.push(product.card(*version, reference).to_owned());
    }

    /// Every query with a right answer: all products, all leaves of the tree, all pages up to this id.
    pub fn questions<'a>(&'a self, reference: &'a Reference, page_ids: u64) -> impl Iterator<Item = Query> + 'a {
        let products = self.products.keys().map(|&id| Query::Product(id));
        let categories = reference.leaves().map(Query::Category);
        products.chain(categories).chain((1..=page_ids).map(Query::Page))
    }

    /// How many products there are.
    #[must_use]
    pub fn products(&self) -> usize {
        self.products.len()
    }

    /// How many pages are published.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages.len()
    }
}

impl Product {
    /// As a reader sees it.
    #[must_use]
    pub fn card<'a>(&'a self, version: u64, reference: &'a Reference) -> Card<'a> {
        Card {
            id: self.id,
            name: &self.name,
            brand: reference.brand(self.brand),
            category_path: reference.path(self.category),
            price_cents: self.price_cents,
            stock: self.stock,
            weight_grams: self.weight_grams,
            version,
        }
    }
}

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The query.
    pub query: Query,
    /// The right answer.
    pub expected: Collected,
    /// The read side's answer.
    pub found: Collected,
}

impl fmt::Display for Difference {
    /// The first row that differs, as both sides have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.query)?;
        if self.expected.page != self.found.page {
            return write!(f, "the headline is {:?}, not {:?}", self.found.page, self.expected.page);
        }
        let (right, found) = (&self.expected.products, &self.found.products);
        let at = (0..right.len().max(found.len())).find(|&at| right.get(at) != found.get(at)).unwrap_or(0);
        match (found.get(at), right.get(at)) {
            (None, Some(right)) => write!(f, "product {} is missing", right.id),
            (Some(found), None) => write!(f, "product {} should not be there", found.id),
            (Some(found), Some(right)) => write!(f, "found {} and not {}", found.card(), right.card()),
            (None, None) => write!(f, "no difference"),
        }
    }
}

impl fmt::Display for Card<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} v{} {:?} at {} cents, {} in stock, in {:?}",
            self.id, self.version, self.name, self.price_cents, self.stock, self.category_path
        )?;
        self.weight_grams.map_or(Ok(()), |grams| write!(f, ", {grams} g"))
    }
}
