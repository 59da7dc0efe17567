"""Reports: figures as data and as drawings, and the page that shows them."""
