//! A near cache: what was read lately, in the memory of the service that reads.
//!
//! It keeps entities and not answers, so that a change of a product drops one card, whichever pages show it. Either a
//! timer empties it (as in Netflix's Tudum), or the projector reports what it applied. Storage, bounds and eviction are the
//! crate `quick_cache`'s; several readers that miss the same key ask the store once.
//!
//! Rules: a card is never replaced by an older one, so a change leaves the version that the next card must have; a list
//! that changed while it was read is not kept; what the store does not have is not kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult, GuardResult, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, UnitWeighter};

use super::{LocalQueries, Queries, RemoteQueries};
use crate::Answer;
use crate::domain::{Change, Collected, Message, OwnedCard, Query, Visitor};
use crate::settings::{NEAR_CACHE_CARDS, NEAR_CACHE_LISTS};

/// Answers from memory if it can, else from the read store.
pub struct NearCache {
    inner: Queries,
    cards: Cache<u64, Entry>,
    lists: Cache<Query, Arc<List>>,
    /// The category whose listing shows a product.
    listed: RwLock<HashMap<u64, u32>>,
    /// How often everything was dropped.
    clears: AtomicU64,
}

/// What is known of a product.
#[derive(Clone)]
enum Entry {
    Card(Arc<OwnedCard>),
    /// It changed: the next card must have this version at least.
    Changed(u64),
}

/// The products that a listing or a page shows.
struct List {
    /// A page's headline and version.
    page: Option<(String, u64)>,
    ids: Vec<u64>,
}

/// An answer from memory: the list, unless one product was asked for, and the cards.
type Cached = (Option<Arc<List>>, Vec<Arc<OwnedCard>>);

type Guard<'a, K, V> = PlaceholderGuard<'a, K, V, UnitWeighter, DefaultHashBuilder, DefaultLifecycle<K, V>>;

/// A question that only this reader asks the store now; others that ask the same wait for it.
enum Load<'a> {
    Card(CardLoad<'a>),
    List(Guard<'a, Query, Arc<List>>),
    /// The list is here, and some of its cards are not.
    Cards,
}

struct CardLoad<'a> {
    guard: Option<Guard<'a, u64, Entry>>,
    at_least: u64,
}

impl Entry {
    fn version(&self) -> u64 {
        match self {
            Entry::Card(card) => card.version,
            Entry::Changed(version) => *version,
        }
    }
}

impl CardLoad<'_> {
    fn keep(mut self, card: OwnedCard) {
        if card.version >= self.at_least
            && let Some(guard) = self.guard.take()
        {
            // If the card changed meanwhile, the guard has lost its place, and nothing is kept.
            let _ = guard.insert(Entry::Card(Arc::new(card)));
        }
    }
}

impl Drop for CardLoad<'_> {
    /// Puts the version back if no card came.
    fn drop(&mut self) {
        if self.at_least > 0
            && let Some(guard) = self.guard.take()
        {
            let _ = guard.insert(Entry::Changed(self.at_least));
        }
    }
}

/// A cache that starts small and holds at most so many.
fn bounded<K: Eq + std::hash::Hash, V: Clone>(most: u64) -> Cache<K, V> {
    Cache::with_weighter(1_024, most, UnitWeighter)
}

impl NearCache {
    /// A cache in front of these.
    #[must_use]
    pub fn new(inner: Queries) -> Arc<NearCache> {
        Arc::new(NearCache {
            inner,
            cards: bounded(NEAR_CACHE_CARDS),
            lists: bounded(NEAR_CACHE_LISTS),
            listed: RwLock::default(),
            clears: AtomicU64::new(0),
        })
    }

    /// Answers through the cache.
    #[must_use]
    pub fn queries(self: &Arc<NearCache>) -> Queries {
        match &self.inner {
            Queries::Local(_) => Queries::Local(Arc::<NearCache>::clone(self)),
            Queries::Remote(_) => Queries::Remote(Arc::<NearCache>::clone(self)),
        }
    }

    /// Drops everything: what the timer does.
    pub fn clear(&self) {
        self.clears.fetch_add(1, SeqCst);
        self.cards.clear();
        self.lists.clear();
        self.listed.write().expect("nothing panics under this lock").clear();
    }

    /// Drops what these messages changed; everything, if there are none.
    pub fn forget(&self, messages: &[Message]) {
        if messages.is_empty() {
            return self.clear();
        }
        for message in messages {
            match &message.change {
                Change::Product(product) => self.forget_product(product.id, product.category, message.version),
                Change::Page(page) => _ = self.lists.remove(&Query::Page(page.id)),
                Change::PageGone(id) => _ = self.lists.remove(&Query::Page(*id)),
            }
        }
    }

    fn forget_product(&self, id: u64, category: u32, version: u64) {
        // First the card: a listing that is read meanwhile finds either this or its own mark in `listed`.
        self.forget_card(id, version);
        let before = self.listed.read().expect("nothing panics under this lock").get(&id).copied();
        // A product that stays in its category leaves the listing as it is.
        if before != Some(category) {
            self.listed.write().expect("nothing panics under this lock").remove(&id);
            for category in before.into_iter().chain([category]) {
                self.lists.remove(&Query::Category(category));
            }
        }
    }

    fn forget_card(&self, id: u64, version: u64) {
        let older = |_: &u64, entry: &mut Entry| {
            if entry.version() < version {
                *entry = Entry::Changed(version);
            }
            EntryAction::Retain(())
        };
        match self.cards.entry(&id, Some(Duration::ZERO), older) {
            EntryResult::Vacant(guard) => _ = guard.insert(Entry::Changed(version)),
            // A reader is asking the store, perhaps since before the change: this takes the reader's place.
            EntryResult::Timeout => self.cards.insert(id, Entry::Changed(version)),
            _ => {}
        }
    }

    /// The whole answer, if it is here.
    fn cached(&self, query: Query) -> Option<Cached> {
        let card = |id: u64| match self.cards.get(&id)? {
            Entry::Card(card) => Some(card),
            Entry::Changed(_) => None,
        };
        if let Query::Product(id) = query {
            return Some((None, vec![card(id)?]));
        }
        let list = self.lists.get(&query)?;
        let cards = list.ids.iter().map(|id| card(*id)).collect::<Option<_>>()?;
        Some((Some(list), cards))
    }

    fn show(&self, query: Query, visitor: &mut dyn Visitor) -> bool {
        let Some((list, cards)) = self.cached(query) else { return false };
        if let Some((title, version)) = list.as_ref().and_then(|list| list.page.as_ref()) {
            visitor.page(title, *version);
        }
        cards.iter().for_each(|card| visitor.product(card.card()));
        true
    }

    /// Keeps an answer, unless it is older than what is known. `clears` is the count from before the question.
    fn keep(&self, load: Load<'_>, query: Query, answer: Collected, clears: u64) {
        let guard = match load {
            Load::Card(load) => return answer.products.into_iter().next().map_or((), |card| load.keep(card)),
            Load::List(guard) => Some(guard),
            Load::Cards => None,
        };
        let ids: Vec<u64> = answer.products.iter().map(|product| product.id).collect();
        if let Query::Category(category) = query {
            let mut listed = self.listed.write().expect("nothing panics under this lock");
            listed.extend(ids.iter().map(|id| (*id, category)));
        }
        let mut is_current = true;
        for card in answer.products {
            is_current &= self.keep_card(card, clears);
        }
        // A page names its products, whatever became of them; a listing with an old product may be an old listing.
        if let Some(guard) = guard
            && (is_current || matches!(query, Query::Page(_)))
        {
            // If the list changed meanwhile, the guard has lost its place, and nothing is kept.
            let _ = guard.insert(Arc::new(List { page: answer.page, ids }));
        }
    }

    /// Keeps a card, unless a newer one is known; whether it is the newest that is known.
    fn keep_card(&self, card: OwnedCard, clears: u64) -> bool {
        let is_cleared = || self.clears.load(SeqCst) != clears;
        let (id, version, card) = (card.id, card.version, Entry::Card(Arc::new(card)));
        let newer = |_: &u64, entry: &mut Entry| {
            let is_current = version >= entry.version() && !is_cleared();
            if is_current {
                *entry = card.clone();
            }
            EntryAction::Retain(is_current)
        };
        match self.cards.entry(&id, Some(Duration::ZERO), newer) {
            EntryResult::Retained(is_current) => is_current,
            EntryResult::Vacant(guard) => !is_cleared() && guard.insert(card.clone()).is_ok(),
            // Another reader is asking for this very card, and keeps it.
            _ => false,
        }
    }
}

/// Leaves a card as it is, and makes way for the one that comes after a change.
fn unless_changed(_: &u64, entry: &mut Entry) -> EntryAction<()> {
    match entry {
        Entry::Card(_) => EntryAction::Retain(()),
        Entry::Changed(_) => EntryAction::ReplaceWithGuard,
    }
}

type Taken<'a> = EntryResult<'a, u64, Entry, UnitWeighter, DefaultHashBuilder, DefaultLifecycle<u64, Entry>, ()>;

fn card_load(taken: Taken<'_>) -> Option<Load<'_>> {
    let (guard, at_least) = match taken {
        EntryResult::Vacant(guard) => (guard, 0),
        EntryResult::Replaced(guard, before) => (guard, before.version()),
        _ => return None,
    };
    Some(Load::Card(CardLoad { guard: Some(guard), at_least }))
}

impl LocalQueries for NearCache {
    fn ask(&self, query: Query, visitor: &mut dyn Visitor) -> Answer<bool> {
        if self.show(query, visitor) {
            return Ok(true);
        }
        let Queries::Local(inner) = &self.inner else { return Err("a server is asked asynchronously".into()) };
        let load = match query {
            Query::Product(id) => card_load(self.cards.entry(&id, None, unless_changed)),
            _ => match self.lists.get_value_or_guard(&query, None) {
                GuardResult::Guard(guard) => Some(Load::List(guard)),
                _ => None,
            },
        };
        // Without a guard, another reader has just loaded it.
        if load.is_none() && self.show(query, visitor) {
            return Ok(true);
        }
        let (clears, mut answer) = (self.clears.load(SeqCst), Collected::default());
        let found = inner.ask(query, &mut answer)?;
        answer.show(visitor);
        if found {
            self.keep(load.unwrap_or(Load::Cards), query, answer, clears);
        }
        Ok(found)
    }
}

#[async_trait]
impl RemoteQueries for NearCache {
    async fn ask(&self, query: Query, visitor: &mut (dyn Visitor + Send)) -> Answer<bool> {
        if self.show(query, visitor) {
            return Ok(true);
        }
        let load = match query {
            Query::Product(id) => card_load(self.cards.entry_async(&id, unless_changed).await),
            _ => self.lists.get_value_or_guard_async(&query).await.err().map(Load::List),
        };
        // Without a guard, another reader has just loaded it.
        if load.is_none() && self.show(query, visitor) {
            return Ok(true);
        }
        let (clears, mut answer) = (self.clears.load(SeqCst), Collected::default());
        let found = self.inner.ask(query, &mut answer).await?;
        answer.show(visitor);
        if found {
            self.keep(load.unwrap_or(Load::Cards), query, answer, clears);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::thread;

    use super::*;
    use crate::domain::{Cause, Product, World};

    /// A store with one product. Before it answers, it does what a test wants to happen meanwhile.
    struct Store {
        world: World,
        version: AtomicU64,
        asked: AtomicU64,
        meanwhile: Box<dyn Fn(&Store) + Send + Sync>,
        cache: OnceLock<Arc<NearCache>>,
    }

    impl Store {
        fn new(meanwhile: impl Fn(&Store) + Send + Sync + 'static) -> Arc<Store> {
            let store = Arc::new(Store {
                world: World::new(10, 1, 7),
                version: AtomicU64::new(1),
                asked: AtomicU64::new(0),
                meanwhile: Box::new(meanwhile),
                cache: OnceLock::new(),
            });
            let cache = NearCache::new(Queries::Local(Arc::<Store>::clone(&store)));
            assert!(store.cache.set(cache).is_ok());
            store
        }

        fn cache(&self) -> &Arc<NearCache> {
            self.cache.get().unwrap()
        }

        /// The product changes, and the cache learns of it.
        fn change(&self, product: Product) {
            let version = self.version.fetch_add(1, SeqCst) + 1;
            let change = Change::Product(product);
            self.cache().forget(&[Message { version, at: 0, cause: Cause::Unknown, replay: false, change }]);
        }

        fn ask(&self, query: Query) -> u64 {
            let mut answer = Collected::default();
            assert!(LocalQueries::ask(&**self.cache(), query, &mut answer).unwrap());
            answer.products[0].version
        }
    }

    impl LocalQueries for Store {
        fn ask(&self, _: Query, visitor: &mut dyn Visitor) -> Answer<bool> {
            let (product, version) = (self.world.product(1), self.version.load(SeqCst));
            let first = self.asked.fetch_add(1, SeqCst) == 0;
            if first {
                (self.meanwhile)(self);
            }
            visitor.product(product.card(version, &self.world.reference));
            Ok(true)
        }
    }

    #[test]
    fn what_changes_while_it_is_read_is_not_kept() {
        let product = World::new(10, 1, 7).product(1);
        for query in [Query::Product(1), Query::Category(product.category), Query::Page(1)] {
            let changed = product.clone();
            let store = Store::new(move |store| store.change(changed.clone()));
            assert_eq!(store.ask(query), 1, "{query:?}: it was read before the change");
            assert_eq!((store.ask(query), store.ask(Query::Product(1))), (2, 2), "{query:?}: the store is asked again");
            store.ask(query);
            assert_eq!(store.asked.load(SeqCst), 2, "{query:?}: from memory");
        }
    }

    #[test]
    fn a_product_that_leaves_a_listing_while_it_is_read_is_not_kept_in_it() {
        let product = World::new(10, 1, 7).product(1);
        let (before, elsewhere) = (product.category, product.category + 1);
        let store = Store::new(move |store| store.change(Product { category: elsewhere, ..product.clone() }));
        store.ask(Query::Category(before));
        assert!(store.cache().lists.get(&Query::Category(before)).is_none());
    }

    #[test]
    fn what_is_cleared_while_it_is_read_is_not_kept() {
        for query in [Query::Product(1), Query::Category(1), Query::Page(1)] {
            let store = Store::new(|store| store.cache().clear());
            store.ask(query);
            assert!(store.cache().cached(query).is_none(), "{query:?}");
            assert!(store.cache().cards.get(&1).is_none(), "{query:?}");
        }
    }

    #[test]
    fn readers_that_miss_the_same_product_ask_once() {
        let store = Store::new(|_| cenote_bench_support::clock::sleep(Duration::from_millis(20)));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| store.ask(Query::Product(1)));
            }
        });
        assert_eq!(store.asked.load(SeqCst), 1);
    }

    #[test]
    fn a_late_message_does_not_drop_a_newer_card() {
        let store = Store::new(|_| {});
        store.version.store(5, SeqCst);
        store.ask(Query::Product(1));
        let change = Change::Product(store.world.product(1));
        let late = Message { version: 3, at: 0, cause: Cause::Unknown, replay: false, change };
        store.cache().forget(&[late]);
        store.ask(Query::Product(1));
        assert_eq!(store.asked.load(SeqCst), 1);
    }
}
