"""Finding the nearest of many vectors.

exact.py   every vector is looked at; k-means for the clusters that an inverted file is made of
faiss.py   the same by FAISS: clusters of a million vectors in seconds, approximate search
"""

from pickllm.index.exact import Clusters, ExactIndex, VectorIndex, nearest, numpy_clusters
from pickllm.index.faiss import FaissIndex, faiss_clusters

__all__ = [
    "Clusters",
    "ExactIndex",
    "FaissIndex",
    "VectorIndex",
    "faiss_clusters",
    "nearest",
    "numpy_clusters",
]
