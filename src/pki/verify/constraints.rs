//! Extensions that must be understood, and the names that an authority lets stand below it.
// SOURCE: RFC 5280 sections 4.2 and 4.2.1.10.
#![forbid(unsafe_code)]

use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, GeneralSubtree, NameConstraints, ParsedExtension},
};

use super::{Fault, fault};
use crate::pki::inspect;

/// Critical extensions that nothing here judges.
pub(super) fn of_extensions(found: &X509Certificate<'_>, faults: &mut Vec<Fault>) {
    for extension in found.extensions().iter().filter(|extension| extension.critical) {
        let judged = matches!(
            extension.parsed_extension(),
            ParsedExtension::BasicConstraints(_)
                | ParsedExtension::KeyUsage(_)
                | ParsedExtension::ExtendedKeyUsage(_)
                | ParsedExtension::SubjectAlternativeName(_)
                | ParsedExtension::NameConstraints(_)
                | ParsedExtension::SubjectKeyIdentifier(_)
                | ParsedExtension::AuthorityKeyIdentifier(_)
                // Nobody here asks for a policy, so any is good.
                | ParsedExtension::CertificatePolicies(_)
                | ParsedExtension::PolicyMappings(_)
                | ParsedExtension::PolicyConstraints(_)
                | ParsedExtension::InhibitAnyPolicy(_)
        );
        if !judged {
            let message = format!(
                "`{}` has an extension that must be understood and is not known ({})",
                found.subject(),
                extension.oid
            );
            faults.push(fault("critical-extension", message, "have it issued without that extension"));
        }
    }
}

/// What stands below an authority against its constraints. `below` begins with the leaf.
pub(super) fn of_names(
    issuer: &X509Certificate<'_>,
    below: &[&X509Certificate<'_>],
    faults: &mut Vec<Fault>,
) {
    let Ok(Some(constraints)) = issuer.name_constraints() else { return };
    for (place, certificate) in below.iter().enumerate() {
        // An authority that took over from itself is no new one; a leaf never is.
        if place > 0 && is_self_issued(certificate) {
            continue;
        }
        if let Some(why) = names(certificate).iter().find_map(|name| against(constraints.value, name)) {
            let message = format!(
                "`{}` does not let `{}` stand below it: {why} (nameConstraints)",
                issuer.subject(),
                certificate.subject()
            );
            faults.push(fault(
                "name-constraints",
                message,
                "issue it for a name that is permitted there, or by another authority",
            ));
        }
    }
}

pub(super) fn is_self_issued(found: &X509Certificate<'_>) -> bool {
    found.subject().as_raw() == found.issuer().as_raw()
}

/// Everything that it is called.
fn names<'a>(found: &'a X509Certificate<'a>) -> Vec<GeneralName<'a>> {
    let mut names = match found.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.clone(),
        _ => Vec::new(),
    };
    if found.subject().iter().next().is_some() {
        names.push(GeneralName::DirectoryName(found.subject().clone()));
    }
    names
}

/// Why the name may not stand there.
fn against(constraints: &NameConstraints<'_>, name: &GeneralName<'_>) -> Option<String> {
    let of_kind = |list: &Option<Vec<GeneralSubtree<'_>>>| -> Result<Vec<Place>, String> {
        let trees = list.iter().flatten().filter(|tree| is_alike(&tree.base, name));
        trees.map(|tree| place(&tree.base, name)).collect()
    };
    let shown = inspect::general_name(name);
    let judged = || -> Result<Option<String>, String> {
        let excluded = of_kind(&constraints.excluded_subtrees)?;
        let permitted = of_kind(&constraints.permitted_subtrees)?;
        if excluded.iter().any(|place| *place != Place::Outside) {
            return Ok(Some(format!("{shown} is excluded")));
        }
        let free = permitted.is_empty() || permitted.contains(&Place::Inside);
        Ok((!free).then(|| format!("{shown} is not permitted")))
    };
    judged().unwrap_or_else(Some)
}

/// Whether a constraint speaks of names of this kind.
fn is_alike(base: &GeneralName<'_>, name: &GeneralName<'_>) -> bool {
    std::mem::discriminant(base) == std::mem::discriminant(name)
}

/// How a name lies to a constraint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Inside,
    /// A wildcard, some of whose names are inside.
    Partly,
    Outside,
}

/// Both of one kind. Of the kinds of names, those that clients compare are judged; where others are constrained, it is
/// refused rather than taken for granted.
fn place(base: &GeneralName<'_>, name: &GeneralName<'_>) -> Result<Place, String> {
    match (base, name) {
        (GeneralName::DNSName(base), GeneralName::DNSName(name)) => {
            let (base, name) = (base.to_ascii_lowercase(), name.to_ascii_lowercase());
            if base.starts_with('.') || base.contains('*') {
                return Err(format!("the constraint `{base}` is malformed"));
            }
            let plain = name.strip_prefix("*.").unwrap_or(&name);
            if plain.is_empty() || plain.split('.').any(str::is_empty) {
                return Err(format!("the name `{name}` is malformed"));
            }
            Ok(match (is_under(plain, &base), plain.len() < name.len() && is_under(&base, plain)) {
                (true, _) => Place::Inside,
                (false, true) => Place::Partly,
                (false, false) => Place::Outside,
            })
        }
        (GeneralName::IPAddress(base), GeneralName::IPAddress(name)) => {
            let half = base.len() / 2;
            let (network, mask) = base.split_at_checked(half).unwrap_or_default();
            let ones = mask.iter().map(|byte| byte.count_ones()).sum::<u32>();
            let leading = mask.iter().position(|byte| *byte != u8::MAX).map_or(mask.len() * 8, |at| {
                at * 8
                    + mask.get(at).map_or(0, |byte| usize::try_from(byte.leading_ones()).unwrap_or_default())
            });
            if !matches!(base.len(), 8 | 32) || usize::try_from(ones).unwrap_or_default() != leading {
                return Err("a constraint of addresses is malformed".to_owned());
            }
            if !matches!(name.len(), 4 | 16) {
                return Err("an address is malformed".to_owned());
            }
            let mut bytes = name.iter().zip(network).zip(mask);
            let same =
                name.len() == half && bytes.all(|((name, network), mask)| name & mask == network & mask);
            Ok(if same { Place::Inside } else { Place::Outside })
        }
        _ => {
            Err(format!("{} is of a kind whose constraints are not judged here", inspect::general_name(name)))
        }
    }
}

fn is_under(name: &str, base: &str) -> bool {
    base.is_empty() || name == base || name.strip_suffix(base).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_inside_outside_or_across() {
        let dns = |base, name| place(&GeneralName::DNSName(base), &GeneralName::DNSName(name));
        for (base, name, wanted) in [
            ("example.com", "example.com", Place::Inside),
            ("example.com", "a.B.Example.com", Place::Inside),
            ("", "example.com", Place::Inside),
            ("example.com", "badexample.com", Place::Outside),
            ("a.example.com", "example.com", Place::Outside),
            ("example.com", "*.example.com", Place::Inside),
            ("a.example.com", "*.example.com", Place::Partly),
            ("a.example.com", "*.other.com", Place::Outside),
        ] {
            assert_eq!(dns(base, name), Ok(wanted), "{name} to {base}");
        }
        for (base, name) in
            [(".example.com", "a.example.com"), ("*.example.com", "x"), ("x", ".x"), ("x", "a..x")]
        {
            assert!(dns(base, name).is_err(), "{name} to {base}");
        }
        let ip = |base: &[u8], name: &[u8]| {
            place(&GeneralName::IPAddress(base), &GeneralName::IPAddress(name)).ok()
        };
        let net = [192, 0, 2, 0, 255, 255, 255, 0];
        assert_eq!(ip(&net, &[192, 0, 2, 7]), Some(Place::Inside));
        assert_eq!(ip(&net, &[192, 0, 3, 7]), Some(Place::Outside));
        assert_eq!(ip(&net, &[0; 16]), Some(Place::Outside));
        assert_eq!(ip(&[192, 0, 2, 0, 255, 0, 255, 0], &[192, 0, 2, 7]), None);
        assert_eq!(ip(&net, &[192, 0, 2, 0, 255, 255, 255, 0]), None);
        assert_eq!(ip(&[192, 0, 2], &[192, 0, 2, 7]), None);
    }
}
