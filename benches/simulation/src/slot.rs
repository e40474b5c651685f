//! A place for an actor: at most one at a time, which takes orders, may be busy, and can be killed.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Gone,
    /// Not there yet; it may wait for another to go.
    Opening,
    Busy,
    Idle,
}

/// What an actor and its slot share.
pub(crate) struct Seat<O> {
    pub(crate) mood: Rc<Cell<Mood>>,
    pub(crate) orders: mpsc::UnboundedReceiver<O>,
}

/// A place for an actor that takes orders `O`.
pub(crate) struct Slot<O> {
    pub(crate) name: &'static str,
    mood: RefCell<Rc<Cell<Mood>>>,
    life: RefCell<Option<(mpsc::UnboundedSender<O>, JoinHandle<()>)>>,
}

impl<O: 'static> Slot<O> {
    pub(crate) fn new(name: &'static str) -> Slot<O> {
        Slot { name, mood: RefCell::new(Rc::new(Cell::new(Mood::Gone))), life: RefCell::new(None) }
    }

    pub(crate) fn mood(&self) -> Mood {
        self.mood.borrow().get()
    }

    /// Starts an actor; it is opening until it says otherwise, and gone when it ends.
    pub(crate) fn start<F>(&self, live: impl FnOnce(Seat<O>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let mood = Rc::new(Cell::new(Mood::Opening));
        let (sender, orders) = mpsc::unbounded_channel();
        let life = live(Seat { mood: mood.clone(), orders });
        let end = mood.clone();
        let task = tokio::task::spawn_local(async move {
            life.await;
            end.set(Mood::Gone);
        });
        *self.mood.borrow_mut() = mood;
        *self.life.borrow_mut() = Some((sender, task));
    }

    /// Gives an order to an actor that is idle.
    pub(crate) fn order(&self, order: O) {
        if let Some((orders, _)) = &*self.life.borrow() {
            self.mood.borrow().set(Mood::Busy);
            // Who has just ended takes no orders.
            let _ = orders.send(order);
        }
    }

    /// Drops the actor where it stands.
    pub(crate) fn kill(&self) {
        if let Some((_, task)) = self.life.borrow_mut().take() {
            task.abort();
        }
        self.mood.borrow().set(Mood::Gone);
    }

    /// What an actor that panicked said.
    pub(crate) async fn panicked(&self) -> Option<String> {
        let finished = self.life.borrow().as_ref().is_some_and(|(_, task)| task.is_finished());
        if !finished {
            return None;
        }
        let (_, task) = self.life.borrow_mut().take()?;
        let error = task.await.err().filter(tokio::task::JoinError::is_panic)?;
        self.mood.borrow().set(Mood::Gone);
        Some(super::message(&*error.into_panic()))
    }
}
