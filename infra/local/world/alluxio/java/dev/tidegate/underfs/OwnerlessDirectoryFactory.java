package dev.tidegate.underfs;

import alluxio.AlluxioURI;
import alluxio.underfs.UnderFileSystem;
import alluxio.underfs.UnderFileSystemConfiguration;
import alluxio.underfs.UnderFileSystemFactory;

/** Answers for the scheme {@code directory}, as in {@code directory:///path/to/it}. */
public final class OwnerlessDirectoryFactory implements UnderFileSystemFactory {
  @Override
  public UnderFileSystem create(String path, UnderFileSystemConfiguration configuration) {
    return new OwnerlessDirectory(new AlluxioURI(path), configuration);
  }

  @Override
  public boolean supportsPath(String path) {
    return path != null && path.startsWith("directory:");
  }
}
