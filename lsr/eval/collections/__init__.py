"""What is asked, of which documents, and which are right? Judged collections of every layout."""
