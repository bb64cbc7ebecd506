package dev.tidegate.underfs;

import alluxio.AlluxioURI;
import alluxio.underfs.UnderFileSystemConfiguration;
import alluxio.underfs.local.LocalUnderFileSystem;

/**
 * A directory as the under store that, like an object store, knows no owners and no modes.
 *
 * <p>Alluxio's own local under store hands each persisted file to its owner, and fails the persist for good if this
 * machine has no user of that name; on S3 the same call does nothing.
 */
public final class OwnerlessDirectory extends LocalUnderFileSystem {
  OwnerlessDirectory(AlluxioURI uri, UnderFileSystemConfiguration configuration) {
    super(uri, configuration);
  }

  @Override
  public void setOwner(String path, String user, String group) {}

  @Override
  public void setMode(String path, short mode) {}
}
