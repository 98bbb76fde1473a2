/* placeholder */
typedef int citronella_nothing;
