use arbitrary::Unstructured;

use crate::component_bytes;

/// Code that is valid and means nothing: as the body of a transform, and as a component of any kind.
pub fn generated_code(bytes: &[u8]) {
    let mut choices = Unstructured::new(bytes);
    let made = match choices.arbitrary() {
        Ok(true) => oast_generate::transform(&mut choices),
        Ok(false) => oast_generate::component(&mut choices),
        Err(_) => None,
    };
    if let Some(component) = made {
        component_bytes(&component);
    }
}
