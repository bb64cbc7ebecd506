//! The Kubernetes manifests of a cluster: the templates of `infra/kubernetes`, filled in, and the functions' RBAC.
//!
//! Quotas and claims come from [`tidegate_domain::disks`], by which the functions judge what they find.

mod layout;
mod record;
mod settings;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use thiserror::Error;

pub use layout::{Layout, MEMORY, Tier};
pub use settings::{AddOn, JavaMemory, MasterSet, Settings};

/// What is wrong with the settings, in a sentence for the person who wrote them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Error(pub(crate) String);

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../../../infra/kubernetes/", $name, ".yaml.j2"))
    };
}

/// For the cluster as a whole, in the order in which they depend on each other.
const CLUSTER: [&str; 5] = [
    template!("namespace"),
    template!("storage-class"),
    template!("provisioner"),
    template!("alluxio-config"),
    template!("drain-rate"),
];
/// For each disk layout.
const WORKER: &str = template!("alluxio-worker");
/// The class of the masters' volumes.
const STANDARD_CLASS: &str = template!("standard-class");
const MASTERS: &str = template!("alluxio-masters");
const PROXY: &str = template!("alluxio-proxy");
const METRICS_SERVER: &str = template!("metrics-server");
const CLUSTER_AUTOSCALER: &str = template!("cluster-autoscaler");

macro_rules! rbac {
    ($function:literal) => {
        include_str!(concat!("../../../", $function, "/rbac.yaml"))
    };
}

/// The rights of each function that talks to Kubernetes, as they stand beside it.
const RBAC: [&str; 9] = [
    rbac!("check-drift"),
    rbac!("label-node"),
    rbac!("provision-volumes"),
    rbac!("schedule-worker"),
    rbac!("cordon-node"),
    rbac!("evict-pods"),
    rbac!("drain-cache"),
    rbac!("retire-worker"),
    rbac!("choose-victims"),
];
/// The namespace that the files in [`RBAC`] name.
const RBAC_NAMESPACE: &str = "\n  namespace: alluxio\n";

/// Renders everything as one stream of YAML documents for `kubectl apply -f -`.
pub fn render(settings: &Settings) -> Result<String, Error> {
    check(settings)?;
    let templates = Templates::of(settings)?;
    let mut recorded = Vec::new();
    for template in CLUSTER {
        recorded.push(templates.fill(template, context! {})?);
    }
    for layout in &settings.layouts {
        let layout = context! { layout => Value::from(Serde(layout)) };
        recorded.push(templates.fill(WORKER, layout)?);
    }
    let namespace = format!("\n  namespace: {}\n", settings.namespace);
    recorded.extend(RBAC.map(|rules| rules.replace(RBAC_NAMESPACE, &namespace)));
    // The drift check looks after what joins and drains rest on, and has rights on just that. A master, a proxy or an
    // add-on that somebody changes is seen by itself: a function that could write it could do as it likes in the cluster.
    let beside = beside(settings, &templates)?;
    let record = record::of(&recorded)?;
    // The namespace comes first of all, and a class before the claims of it.
    let mut stream = String::new();
    for document in recorded.iter().chain(&beside).chain([&record]) {
        stream.push_str("---\n");
        stream.push_str(document.trim_end());
        stream.push('\n');
    }
    Ok(stream)
}

/// What the record leaves out.
fn beside(settings: &Settings, templates: &Templates) -> Result<Vec<String>, Error> {
    let mut documents = vec![templates.fill(STANDARD_CLASS, context! {})?];
    if let Some(set) = &settings.master_set {
        let master = context! {
            replicas => set.replicas,
            journal_addresses => set.journal_addresses(&settings.namespace),
            memory => memory(set.memory),
            journal_gib => set.journal_gib,
            metastore_gib => set.metastore_gib,
        };
        let masters = context! {
            master,
            job_master => memory(set.job_master),
            root_ufs => &set.root_ufs,
        };
        documents.push(templates.fill(MASTERS, masters)?);
    }
    if settings.proxy_replicas > 0 {
        let proxy = context! { replicas => settings.proxy_replicas, memory => memory(settings.proxy) };
        documents.push(templates.fill(PROXY, context! { proxy })?);
    }
    for add_on in &settings.add_ons {
        documents.push(match add_on {
            AddOn::MetricsServer { image } => {
                templates.fill(METRICS_SERVER, context! { metrics_server_image => image })?
            }
            AddOn::ClusterAutoscaler {
                image,
                cluster_name,
                region,
            } => templates.fill(
                CLUSTER_AUTOSCALER,
                context! { cluster_autoscaler_image => image, cluster_name, region },
            )?,
        });
    }
    Ok(documents)
}

/// Fills templates in with what is the same for all.
struct Templates {
    environment: Environment<'static>,
    common: Value,
}

impl Templates {
    fn of(settings: &Settings) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // A name that a template misspells is an error, not an empty place.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let properties = settings.all_properties()?;
        let common = context! {
            namespace => &settings.namespace,
            alluxio_image => &settings.alluxio_image,
            provisioner_image => &settings.provisioner_image,
            properties => Value::from(Serde(&properties)),
            worker => memory(settings.worker),
            job_worker => memory(settings.job_worker),
            under_store_directory => settings.master_set.as_ref().and_then(MasterSet::directory),
        };
        Ok(Self { environment, common })
    }

    fn fill(&self, template: &str, further: Value) -> Result<String, Error> {
        self.environment
            .render_str(template, context! { ..further, ..self.common.clone() })
            .map_err(|error| Error(format!("the manifests cannot be rendered: {error:#}")))
    }
}

fn memory(of: JavaMemory) -> Value {
    context! { heap_mib => of.heap_mib, direct_mib => of.direct_mib, limit_mib => of.limit_mib() }
}

fn check(settings: &Settings) -> Result<(), Error> {
    if settings.layouts.is_empty() {
        return Err(Error("no disk layout is named: no worker would ever run".into()));
    }
    for (index, layout) in settings.layouts.iter().enumerate() {
        if settings.layouts[..index]
            .iter()
            .any(|other| other.name == layout.name)
        {
            return Err(Error(format!("disk layout {} is named twice", layout.name)));
        }
    }
    let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let namespace = &settings.namespace;
    if namespace.is_empty() || namespace.len() > 63 || !namespace.chars().all(in_name) {
        return Err(Error(format!("namespace {namespace:?} is not a Kubernetes name")));
    }
    for (index, add_on) in settings.add_ons.iter().enumerate() {
        add_on.check()?;
        let same = |other: &AddOn| std::mem::discriminant(other) == std::mem::discriminant(add_on);
        if settings.add_ons[..index].iter().any(same) {
            return Err(Error(format!(
                "the add-on of image {} is named twice",
                add_on.image()
            )));
        }
    }
    let images = [settings.alluxio_image.as_str(), &settings.provisioner_image];
    for image in images
        .into_iter()
        .chain(settings.add_ons.iter().map(AddOn::image))
    {
        if image.is_empty()
            || !image
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "./:@_-".contains(c))
        {
            return Err(Error(format!("image {image:?} is not the name of an image")));
        }
    }
    Ok(())
}
