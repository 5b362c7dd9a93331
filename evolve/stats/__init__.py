"""Statistics of comparisons: what runs came to, whether one way is better, and by how much.

They come from scipy and statsmodels, in the extra ``stats``; nothing here knows of runs or
databases.
"""
