//! The derives and attributes of oast-sdk.
