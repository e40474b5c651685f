//! A slot holds at most one actor, which takes commands and can be killed at any time.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The state of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActorState {
    /// There is none.
    Absent,
    /// It opens, which may take until another one closes.
    Opening,
    /// It executes a command.
    Busy,
    /// It waits for a command.
    Idle,
}

/// The actor's side of its slot.
pub(crate) struct Mailbox<C> {
    pub(crate) state: Rc<Cell<ActorState>>,
    pub(crate) commands: mpsc::UnboundedReceiver<C>,
}

/// A slot for an actor that takes commands `C`.
pub(crate) struct Slot<C> {
    pub(crate) name: &'static str,
    state: RefCell<Rc<Cell<ActorState>>>,
    running: RefCell<Option<(mpsc::UnboundedSender<C>, JoinHandle<()>)>>,
}

impl<C: 'static> Slot<C> {
    pub(crate) fn new(name: &'static str) -> Slot<C> {
        Slot { name, state: RefCell::new(Rc::new(Cell::new(ActorState::Absent))), running: RefCell::new(None) }
    }

    pub(crate) fn state(&self) -> ActorState {
        self.state.borrow().get()
    }

    /// Starts an actor. Its state is `Opening` until it sets another one, and `Absent` when it ends.
    pub(crate) fn start<F>(&self, actor: impl FnOnce(Mailbox<C>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let state = Rc::new(Cell::new(ActorState::Opening));
        let (sender, commands) = mpsc::unbounded_channel();
        let running = actor(Mailbox { state: state.clone(), commands });
        let end = state.clone();
        let task = tokio::task::spawn_local(async move {
            running.await;
            end.set(ActorState::Absent);
        });
        *self.state.borrow_mut() = state;
        *self.running.borrow_mut() = Some((sender, task));
    }

    /// Sends a command to an idle actor.
    pub(crate) fn send(&self, command: C) {
        if let Some((commands, _)) = &*self.running.borrow() {
            self.state.borrow().set(ActorState::Busy);
            // An actor that has just ended receives nothing.
            let _ = commands.send(command);
        }
    }

    /// Drops the actor at its current await.
    pub(crate) fn kill(&self) {
        if let Some((_, task)) = self.running.borrow_mut().take() {
            task.abort();
        }
        self.state.borrow().set(ActorState::Absent);
    }

    /// The message of a panic that ended the actor.
    pub(crate) async fn panicked(&self) -> Option<String> {
        let finished = self.running.borrow().as_ref().is_some_and(|(_, task)| task.is_finished());
        if !finished {
            return None;
        }
        let (_, task) = self.running.borrow_mut().take()?;
        let error = task.await.err().filter(tokio::task::JoinError::is_panic)?;
        self.state.borrow().set(ActorState::Absent);
        Some(super::message(&*error.into_panic()))
    }
}
