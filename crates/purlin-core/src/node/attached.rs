//! What behaviours keep per node, one value per type: the node owns it without knowing what it is.

use std::any::{Any, TypeId};
use std::sync::Arc;

use crate::node::Node;
use crate::sync::Mutex;

/// Few, so a list.
#[derive(Default)]
pub(crate) struct Attached(Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Node {
    /// The node's value of this type, made at first use. `T`'s `default` must not use this itself.
    pub(crate) fn attached<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut all = self.0.attached.0.lock();
        let own = all.iter().find(|(id, _)| *id == TypeId::of::<T>()).map(|(_, value)| value.clone());
        let own = own.unwrap_or_else(|| {
            let made: Arc<dyn Any + Send + Sync> = Arc::new(T::default());
            all.push((TypeId::of::<T>(), made.clone()));
            made
        });
        own.downcast().unwrap_or_else(|_| unreachable!("stored under its type"))
    }
}
