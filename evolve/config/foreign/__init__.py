"""Problems that were written for other projects."""
