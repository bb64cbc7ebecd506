use super::*;

#[test]
fn a_listing_keeps_its_first_rows_and_counts_the_others() {
    let rows = Rows::of((0..MOST_ROWS + 3).collect());
    assert_eq!((rows.rows.len(), rows.more), (MOST_ROWS, 3));
    assert_eq!(
        Rows::of(vec![1]),
        Rows {
            rows: vec![1],
            more: 0
        }
    );
}

#[test]
fn tables_have_columns_as_wide_as_their_widest_cell() {
    let overview = Overview {
        cluster: "prod".into(),
        version: "1.35".into(),
        workers: Rows::of(vec![WorkerRow {
            host: "10.0.0.1".into(),
            state: "LIVE".into(),
            capacity_bytes: 246 << 30,
            used_bytes: 1,
        }]),
        ..Overview::default()
    };
    let tables = overview.tables();
    assert!(
        tables.starts_with("CLUSTERS\nNAME   VERSION\nprod   1.35\n\n"),
        "{tables}"
    );
    assert!(
        tables.contains(
            "ALLUXIO WORKERS\nHOST       STATE   CAPACITY   USED\n10.0.0.1   LIVE    246.0Gi    0.1Gi\n"
        ),
        "{tables}"
    );
    assert!(tables.contains("no metrics-server"), "{tables}");
}

#[test]
fn a_master_is_shown_with_its_pod_and_what_it_does_and_one_elsewhere_with_what_it_answers() {
    let place = |number: u8, ready| MasterPlace {
        pod: format!("alluxio-master-{number}"),
        node: format!("node-{number}"),
        address: format!("10.0.0.{number}:19998"),
        ready,
    };
    let roles = BTreeMap::from([
        ("10.0.0.0:19998".to_owned(), MasterRole::Standby),
        ("10.0.0.1:19998".to_owned(), MasterRole::Primary),
        ("10.0.0.2:19998".to_owned(), MasterRole::Silent),
    ]);
    let places = vec![place(0, true), place(1, true), place(2, false), place(3, false)];
    let overview = Overview {
        masters: Rows::of(MasterRow::of_places(places, &roles)),
        ..Overview::default()
    };
    let shown = "ALLUXIO MASTERS\n\
        POD                NODE     ADDRESS          ROLE      READY\n\
        alluxio-master-0   node-0   10.0.0.0:19998   STANDBY   true\n\
        alluxio-master-1   node-1   10.0.0.1:19998   PRIMARY   true\n\
        alluxio-master-2   node-2   10.0.0.2:19998   SILENT    false\n\
        alluxio-master-3   node-3   10.0.0.3:19998   SILENT    false\n";
    assert!(overview.tables().contains(shown), "{}", overview.tables());
    let elsewhere = MasterRow::of_roles(&roles);
    let told: Vec<_> = elsewhere
        .iter()
        .map(|row| (row.pod.as_str(), row.role.as_str(), row.ready))
        .collect();
    assert_eq!(
        told,
        [
            ("", "STANDBY", true),
            ("", "PRIMARY", true),
            ("", "SILENT", false)
        ]
    );
}

#[test]
fn what_was_left_out_of_a_table_is_counted_below_it() {
    let overview = Overview {
        nodes: Rows {
            rows: Vec::new(),
            more: 7,
        },
        ..Overview::default()
    };
    assert!(
        overview.tables().contains("WORKER\nand 7 more\n"),
        "{}",
        overview.tables()
    );
}

#[test]
fn the_largest_overview_fits_into_the_output_of_a_state() {
    let long = || "x".repeat(63);
    let rows = |_| NodeRow {
        name: long(),
        status: "Ready,SchedulingDisabled".into(),
        version: "v1.35.4-eks-0123456".into(),
        internal_ip: "255.255.255.255".into(),
        instance: "i-0123456789abcdef0".into(),
        instance_type: "x2iedn.metal-32xlarge".into(),
        zone: "ap-southeast-1a".into(),
        worker: "4x1900g".into(),
    };
    let volume = |_| VolumeRow {
        name: "local-pv-01234567".into(),
        capacity: "1740Gi".into(),
        reclaim_policy: "Delete".into(),
        phase: "Available".into(),
        claim: format!("alluxio/{}", long()),
        storage_class: "fast-disks".into(),
    };
    let overview = Overview {
        nodes: Rows::of((0..MOST_ROWS).map(rows).collect()),
        volumes: Rows::of((0..MOST_ROWS).map(volume).collect()),
        ..Overview::default()
    };
    let data = serde_json::to_string(&overview).expect("JSON").len();
    let all = data + overview.tables().len();
    assert!(all < 128 * 1024, "{all} bytes");
}
