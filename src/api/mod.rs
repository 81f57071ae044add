//! What an API looks like, and how to talk to it. Pure; knows no vendor: those live in `conf/apis`.

pub mod catalog;
pub mod definition;
pub mod headers;
pub mod link_header;
pub mod origin;
pub mod page;
pub mod position;
pub mod quota;
pub mod request;
pub mod template;

pub use definition::Definition;
pub use headers::Headers;
pub use origin::Origin;
pub use position::Position;
pub use request::RequestSpec;
