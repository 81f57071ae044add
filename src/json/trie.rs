//! Pointers merged into a tree, so that one pass over a document serves all of them.

use super::pointer::{Pointer, Token};
use super::text::RawStr;

/// Every node is a place in the document; the root is node 0.
pub(super) struct Trie<'p> {
    nodes: Vec<Node<'p>>,
    /// The node where the events are, if this is a page's.
    pub(super) records: Option<usize>,
}

#[derive(Default)]
pub(super) struct Node<'p> {
    branches: Vec<Branch<'p>>,
    /// The slots that a scalar here fills.
    pub(super) slots: Vec<usize>,
    /// The slots of this node and of all below it.
    pub(super) below: Vec<usize>,
}

struct Branch<'p> {
    token: &'p Token,
    node: usize,
}

impl<'p> Trie<'p> {
    /// A tree in which the n-th pointer fills slot n.
    pub(super) fn new(pointers: impl IntoIterator<Item = &'p Pointer>) -> Trie<'p> {
        let mut trie = Trie { nodes: vec![Node::default()], records: None };
        for (slot, pointer) in pointers.into_iter().enumerate() {
            let node = trie.insert(pointer, Some(slot));
            trie.nodes[node].slots.push(slot);
        }
        trie
    }

    /// The same tree, with the place of the events.
    pub(super) fn with_records(mut self, records: &'p Pointer) -> Trie<'p> {
        self.records = Some(self.insert(records, None));
        self
    }

    pub(super) fn node(&self, node: usize) -> &Node<'p> {
        &self.nodes[node]
    }

    fn insert(&mut self, pointer: &'p Pointer, slot: Option<usize>) -> usize {
        let mut node = 0;
        self.nodes[node].below.extend(slot);
        for token in pointer.tokens() {
            node = self.descend(node, token);
            self.nodes[node].below.extend(slot);
        }
        node
    }

    fn descend(&mut self, node: usize, token: &'p Token) -> usize {
        let found = self.nodes[node].branches.iter().find(|b| b.token == token);
        if let Some(branch) = found {
            return branch.node;
        }
        let new = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[node].branches.push(Branch { token, node: new });
        new
    }
}

impl Node<'_> {
    /// Whether nothing below this place is asked for.
    #[inline]
    pub(super) fn is_leaf(&self) -> bool {
        self.branches.is_empty()
    }

    /// Whether an element of an array here is asked for.
    pub(super) fn has_elements(&self) -> bool {
        self.branches.iter().any(|b| b.token.index.is_some())
    }

    /// The node of the member with this name.
    #[inline]
    pub(super) fn member(&self, key: RawStr<'_>) -> Option<usize> {
        match key.plain() {
            Some(name) => self.member_named(name),
            None => self.member_named(key.decode().as_bytes()),
        }
    }

    #[inline]
    fn member_named(&self, name: &[u8]) -> Option<usize> {
        let mut branches = self.branches.iter();
        let found = branches.find(|b| b.token.name.as_bytes() == name)?;
        Some(found.node)
    }

    /// The node of the element at this index.
    #[inline]
    pub(super) fn element(&self, index: usize) -> Option<usize> {
        let mut branches = self.branches.iter();
        let found = branches.find(|b| b.token.index == Some(index))?;
        Some(found.node)
    }
}
