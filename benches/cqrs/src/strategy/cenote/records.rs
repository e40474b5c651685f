//! The records of the dataset, denormalised by reference and not by copy.
//!
//! Brands and category paths are components: equal ones are stored once. A page refers to its products by key, so that a
//! change of a product is a change of one record, whichever pages show it.

use cenote_consumer::{HashIndex, View};
use cenote_state::record::Root;
use cenote_state::{Key, KeyOf, Record, record};

use crate::domain::{self, Card, LISTING, Query, Reference, Visitor};

/// A product.
#[derive(Record, Debug, Clone)]
#[record(key = "id")]
pub struct Product {
    /// As in the domain.
    pub id: u64,
    /// As in the domain.
    pub name: String,
    /// As in the domain.
    pub brand: Brand,
    /// As in the domain.
    pub category: Category,
    /// As in the domain.
    pub price_cents: u64,
    /// As in the domain.
    pub stock: u32,
    /// As in the domain.
    pub weight_grams: Option<u32>,
    /// The entity's version.
    pub version: u64,
}

/// Who makes it.
#[derive(Record, Debug, Clone)]
pub struct Brand {
    /// As in the domain.
    pub name: String,
}

/// The category that it is in.
#[derive(Record, Debug, Clone)]
pub struct Category {
    /// As in the domain.
    pub id: u32,
    /// The names from the root to here.
    pub path: String,
}

/// A page.
#[derive(Record, Debug, Clone)]
#[record(key = "id")]
pub struct Page {
    /// As in the domain.
    pub id: u64,
    /// As in the domain.
    pub title: String,
    /// In the order in which they are shown.
    pub products: Vec<Key<Product>>,
    /// The entity's version.
    pub version: u64,
}

/// For listings.
pub const BY_CATEGORY: HashIndex<Product, u32> = HashIndex::on("category.id");

impl Product {
    /// As a reader sees it.
    #[must_use]
    pub fn of(product: &domain::Product, version: u64, reference: &Reference) -> Product {
        Product {
            id: product.id,
            name: product.name.clone(),
            brand: Brand { name: reference.brand(product.brand).to_owned() },
            category: Category { id: product.category, path: reference.path(product.category).to_owned() },
            price_cents: product.price_cents,
            stock: product.stock,
            weight_grams: product.weight_grams,
            version,
        }
    }
}

impl Page {
    /// As a reader sees it.
    #[must_use]
    pub fn of(page: &domain::Page, version: u64) -> Page {
        let products = page.products.iter().map(|id| Key::new(*id)).collect();
        Page { id: page.id, title: page.title.clone(), products, version }
    }
}

/// Answers a query from a view, so from one version.
pub fn ask(view: &View, query: Query, visitor: &mut dyn Visitor) -> bool {
    match query {
        Query::Product(id) => view.get::<Product>(id).map(|product| visitor.product(card(&product))).is_some(),
        Query::Category(category) => {
            let mut ids: Vec<u64> = view.find(&BY_CATEGORY, category).iter().map(ProductRef::id).collect();
            // The first by id; the index yields them by ordinal.
            if ids.len() > LISTING {
                ids.select_nth_unstable(LISTING);
                ids.truncate(LISTING);
            }
            ids.sort_unstable();
            show(view, ids, visitor);
            true
        }
        Query::Page(id) => {
            let Some(page) = view.get::<Page>(id) else { return false };
            visitor.page(page.title(), page.version());
            show(view, page.products().iter().filter_map(KeyOf::value), visitor);
            true
        }
    }
}

/// Shows products in this order. They are looked up together, so that their waits for memory overlap.
fn show(view: &View, ids: impl IntoIterator<Item = u64>, visitor: &mut dyn Visitor) {
    view.get_many::<Product>(ids).flatten().for_each(|product| visitor.product(card(&product)));
}

fn card<'v>(product: &ProductRef<'v>) -> Card<'v> {
    Card {
        id: product.id(),
        name: product.name(),
        brand: product.brand().name(),
        category_path: product.category().path(),
        price_cents: product.price_cents(),
        stock: product.stock(),
        weight_grams: product.weight_grams(),
        version: product.version(),
    }
}

/// The name that the bug writes which no validator detects.
pub(super) const LOST: &str = "lost by a bug";

/// Whether a reader sees a name that the bug has written.
pub(crate) fn shows_the_bug(view: &View) -> bool {
    view.all::<Product>().any(|product| product.name() == LOST)
}

/// A version of the publisher's program, by the records that it writes.
pub(super) trait Program: Send + Sync + 'static {
    /// The record of a product.
    type Product: Root<Key = u64> + From<Product> + Send + Sync;
    /// The record of a page.
    type Page: Root<Key = u64> + From<Page> + Send + Sync;

    /// The version that the dataset has of an entity; 0 if it has none.
    fn version(view: &View, key: domain::Key) -> u64;

    /// A product's price.
    fn price_cents(product: &<Self::Product as record::Record>::Ref<'_>) -> u64;
}

/// The program that knows the field that was added.
pub(super) struct WithWeight;

impl Program for WithWeight {
    type Product = Product;
    type Page = Page;

    fn version(view: &View, key: domain::Key) -> u64 {
        let found = match key {
            domain::Key::Product(id) => view.get::<Product>(id).map(ProductRef::version),
            domain::Key::Page(id) => view.get::<Page>(id).map(PageRef::version),
        };
        found.unwrap_or(0)
    }

    fn price_cents(product: &ProductRef<'_>) -> u64 {
        product.price_cents()
    }
}

/// The program from before the field was added: its records have no weight.
pub(super) struct WithoutWeight;

impl Program for WithoutWeight {
    type Product = before::Product;
    type Page = before::Page;

    fn version(view: &View, key: domain::Key) -> u64 {
        let found = match key {
            domain::Key::Product(id) => view.get::<before::Product>(id).map(before::ProductRef::version),
            domain::Key::Page(id) => view.get::<before::Page>(id).map(before::PageRef::version),
        };
        found.unwrap_or(0)
    }

    fn price_cents(product: &before::ProductRef<'_>) -> u64 {
        product.price_cents()
    }
}

/// The records from before the field was added.
mod before {
    use cenote_state::{Key, Record};

    use super::{Brand, Category};

    /// A product without a weight.
    #[derive(Record, Debug, Clone)]
    #[record(key = "id")]
    pub(in super::super) struct Product {
        id: u64,
        name: String,
        brand: Brand,
        category: Category,
        pub(super) price_cents: u64,
        stock: u32,
        pub(super) version: u64,
    }

    /// A page, of such products.
    #[derive(Record, Debug, Clone)]
    #[record(key = "id")]
    pub(in super::super) struct Page {
        id: u64,
        title: String,
        products: Vec<Key<Product>>,
        pub(super) version: u64,
    }

    impl From<super::Product> for Product {
        fn from(product: super::Product) -> Product {
            let super::Product { id, name, brand, category, price_cents, stock, version, .. } = product;
            Product { id, name, brand, category, price_cents, stock, version }
        }
    }

    impl From<super::Page> for Page {
        fn from(page: super::Page) -> Page {
            let products = page.products.iter().filter_map(|key| key.value().map(Key::new)).collect();
            Page { id: page.id, title: page.title, products, version: page.version }
        }
    }
}
