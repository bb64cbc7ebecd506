#!/usr/bin/env bash
# Makes each instance-store NVMe disk a file system that the local volume provisioner publishes: mounted below
# /mnt/fast-disks under its UUID, its root owned by Alluxio's user. Runs at every boot before the kubelet
# (tidegate-disks.service): after a reboot the file systems are there, after a stop and a start the disks are new and
# empty. May be run again at any time; needs no network, and nothing that Amazon Linux 2023 for EKS does not bring.
#
# Ends with status 1 where a disk was left out, after all others are mounted. Nothing depends on this: the node boots,
# and its join says which disk is missing.
#
#   LAYOUT=pv-nvme      each disk a file system of its own
#   LAYOUT=pv-raid      all disks as one RAID 0 array
set -uo pipefail

layout="${LAYOUT:-pv-nvme}"
disks="${DISKS:-/dev/disk/by-id}"
mounts="${MOUNTS:-/mnt/fast-disks}"
array="${ARRAY:-/dev/md/tidegate}"
# Alluxio's image runs as this user; a fresh file system belongs to root.
owner=1000:1000
failed=0

say() { echo "tidegate-disks: $*"; }
leave_out() {
    say "$*" >&2
    failed=1
}
property() { blkid -p -o value -s "$2" -- "$1" 2>/dev/null; }

# Links of the same disk (with and without its namespace) lead to one device; partitions are no disks.
instance_store() {
    local link
    for link in "$disks"/*NVMe_Instance_Storage_*; do
        [[ -e "$link" && ! "$link" =~ -part[0-9]+$ ]] && readlink -f -- "$link"
    done | sort -u
}

# A disk is formatted once. Whatever else is on it than a file system that can be mounted was put there by somebody.
format() {
    local device="$1" kind table
    kind=$(property "$device" TYPE)
    table=$(property "$device" PTTYPE)
    if [[ -n "$table" ]]; then
        leave_out "$device has a partition table ($table) and is left alone"
        return 1
    fi
    case "$kind" in
        ext4 | xfs) return 0 ;;
        "") ;;
        *)
            leave_out "$device holds $kind and is left alone"
            return 1
            ;;
    esac
    # 0: something is there, 2: nothing is. Anything else is a disk that cannot be read.
    blkid -p -- "$device" >/dev/null 2>&1
    if (($? != 2)); then
        leave_out "what is on $device cannot be told"
        return 1
    fi
    if ! mkfs.ext4 -q -F -L tidegate -- "$device"; then
        leave_out "$device cannot be formatted"
        return 1
    fi
    say "$device is formatted"
}

mount_one() {
    local device="$1" uuid place elsewhere
    uuid=$(property "$device" UUID)
    place="$mounts/$uuid"
    if [[ -z "$uuid" ]]; then
        leave_out "$device has no UUID"
        return
    fi
    elsewhere=$(findmnt -n -o TARGET -S "$device" | grep -vxF -- "$place" | head -n 1)
    if [[ -n "$elsewhere" ]]; then
        leave_out "$device is mounted at $elsewhere and is left alone"
        return
    fi
    mkdir -p -- "$place"
    if ! mountpoint -q -- "$place" && ! mount -o noatime,nofail -- "UUID=$uuid" "$place"; then
        # What is no mount point keeps the provisioner from being ready.
        rmdir -- "$place" 2>/dev/null
        leave_out "$device cannot be mounted at $place"
        return
    fi
    chown "$owner" -- "$place"
    say "$device is mounted at $place"
}

# The array of these disks; made where they are empty.
assemble() {
    local device members=0
    for device in "$@"; do
        [[ "$(property "$device" TYPE)" == linux_raid_member ]] && members=$((members + 1))
    done
    if [[ -b "$array" ]]; then
        return 0
    elif ((members == $#)); then
        mdadm --assemble "$array" "$@"
    elif ((members == 0)); then
        for device in "$@"; do
            blkid -p -- "$device" >/dev/null 2>&1
            if (($? != 2)); then
                leave_out "$device is not empty, or cannot be read: no array is made"
                return 1
            fi
        done
        mdadm --create "$array" --run --homehost=any --name=tidegate --level=0 --raid-devices=$# "$@"
    else
        leave_out "only $members of the $# disks belong to an array: it is left alone"
        return 1
    fi
}

# Directories of disks that this instance had before it was stopped.
forget_old_mounts() {
    local place
    for place in "$mounts"/????????-????-????-????-????????????; do
        [[ -d "$place" ]] && ! mountpoint -q -- "$place" && rmdir -- "$place" 2>/dev/null && say "$place is gone"
    done
}

main() {
    local devices device
    case "$layout" in pv-nvme | pv-raid) ;;
        *)
            say "LAYOUT: \"$layout\" is neither pv-nvme nor pv-raid" >&2
            return 2
            ;;
    esac
    # Links are made while devices are found.
    if command -v udevadm >/dev/null; then udevadm settle --timeout=30; fi
    forget_old_mounts
    mapfile -t devices < <(instance_store)
    if ((${#devices[@]} == 0)); then
        say "no instance-store disks: nothing to do"
        return 0
    fi
    if [[ "$layout" == pv-raid ]] && ((${#devices[@]} > 1)); then
        if ! assemble "${devices[@]}"; then
            leave_out "there is no array of ${devices[*]}"
            return "$failed"
        fi
        devices=("$(readlink -f -- "$array")")
    fi
    for device in "${devices[@]}"; do
        format "$device" && mount_one "$device"
    done
    return "$failed"
}

# Two at once would format a disk twice.
exec 9>"${LOCK:-/run/tidegate-disks.lock}" && flock 9
main
